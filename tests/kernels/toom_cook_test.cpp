// The matrices of Toom-Cook convolution and the kernel that applies them.
#include "sluice/kernels/detail/toom_cook.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "sluice/base/error.hpp"
#include "support.hpp"

namespace sluice::kernels {
namespace {

// y = Aᵀ [(G w) ⊙ (Bᵀ x)] in float64 against the correlation it stands for.
TEST(ToomCook, EqualsTheCorrelationForEveryTileAndKernel) {
  int tried = 0;
  for (int m = 2; m <= kMostPoints; ++m) {
    for (int r = 2; m + r - 1 <= kMostPoints; ++r, ++tried) {
      SCOPED_TRACE("F(" + std::to_string(m) + ", " + std::to_string(r) + ")");
      const ToomCook& f = toom_cook(m, r);
      const auto n = static_cast<std::size_t>(f.points());
      const auto x = normal_values<double>(n, 1), w = normal_values<double>(n, 2);
      for (int s = 0; s < m; ++s) {
        double want = 0, got = 0;
        for (int k = 0; k < r; ++k) {
          want += x[static_cast<std::size_t>(s + k)] * w[static_cast<std::size_t>(k)];
        }
        for (std::size_t i = 0; i < n; ++i) {
          double left = 0, right = 0;
          for (std::size_t j = 0; j < n; ++j) left += f.input[i * n + j] * x[j];
          for (std::size_t k = 0; k < static_cast<std::size_t>(r); ++k) {
            right += f.filter[i * static_cast<std::size_t>(r) + k] * w[k];
          }
          got += f.output[static_cast<std::size_t>(s) * n + i] * left * right;
        }
        EXPECT_NEAR(got, want, 1e-12);
      }
    }
  }
  EXPECT_EQ(tried, 36);
}

TEST(ToomCook, SmallestCaseIsTheOneInTheBooks) {
  // F(2, 2) with the points 0, 1, ∞: Karatsuba's product, transposed.
  const ToomCook& f = toom_cook(2, 2);
  EXPECT_EQ(f.input, (std::vector<double>{-1, 1, 0, 0, 1, 0, 0, -1, 1}));
  EXPECT_EQ(f.filter, (std::vector<double>{-1, 0, 1, 1, 0, 1}));
  EXPECT_EQ(f.output, (std::vector<double>{1, 1, 0, 0, 1, 1}));
}

TEST(ToomCook, RefusesWhatItHasNoPointsFor) {
  for (const auto& [m, r] : {std::pair(1, 3), {3, 1}, {4, 8}, {10, 2}, {0, 0}}) {
    try {
      toom_cook(m, r);
      ADD_FAILURE() << "accepted " << m << ", " << r;
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find("sum at most 11"), std::string::npos);
    }
  }
}

TEST(CombineRows, EqualsTheMatrixProductOnEveryTarget) {
  on_every_target([] {
    for (const std::size_t columns : {1U, 2U, 5U, 7U, 10U}) {
      for (const std::size_t n : {0U, 1U, 7U, 16U, 65U}) {
        const std::size_t rows = 4;
        const auto matrix = normal_values<float>(rows * columns, 3);
        const auto in = normal_values<float>(columns * n, 4);
        const auto before = normal_values<float>(rows * n, 5);
        const auto factors = normal_values<float>(n, 6);
        for (const auto& [accumulate, scale] : {std::pair<bool, const float*>(false, nullptr),
                                                {false, factors.data()},
                                                {true, nullptr}}) {
          std::vector<float> out = before;
          std::vector<const float*> in_rows;
          std::vector<float*> out_rows;
          for (std::size_t j = 0; j < columns; ++j) in_rows.push_back(in.data() + j * n);
          for (std::size_t i = 0; i < rows; ++i) out_rows.push_back(out.data() + i * n);
          out_rows[2] = nullptr;
          if (accumulate) {
            combine_rows_onto(out_rows.data(), in_rows.data(), {matrix.data(), rows, columns}, n);
          } else {
            combine_rows(out_rows.data(), in_rows.data(), {matrix.data(), rows, columns}, n, scale);
          }
          for (std::size_t i = 0; i < rows; ++i) {
            for (std::size_t at = 0; at < n; ++at) {
              double want = accumulate ? static_cast<double>(before[i * n + at]) : 0.0;
              for (std::size_t j = 0; j < columns; ++j) {
                want += static_cast<double>(matrix[i * columns + j]) *
                        static_cast<double>(in[j * n + at]);
              }
              if (scale != nullptr) want *= static_cast<double>(scale[at]);
              if (i == 2) {
                EXPECT_EQ(out[i * n + at], before[i * n + at]);
              } else {
                EXPECT_NEAR(out[i * n + at], want, 1e-5);
              }
            }
          }
        }
      }
    }
  });
}

TEST(CombineRows, RoundsToBfloat16Once) {
  on_every_target([] {
    const std::size_t n = 37;
    const auto a = normal_values<float>(n, 1), b = normal_values<float>(n, 2);
    std::vector<std::uint16_t> out(n), want(n);
    std::vector<float> exact(n);
    const float matrix[] = {0.5F, -2.0F};
    const float* in[] = {a.data(), b.data()};
    std::uint16_t* rounded[] = {out.data()};
    float* whole[] = {exact.data()};
    combine_rows(rounded, in, {matrix, 1, 2}, n);
    combine_rows(whole, in, {matrix, 1, 2}, n);
    for (std::size_t i = 0; i < n; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(exact[i]);
      want[i] = static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
    }
    EXPECT_EQ(out, want);
  });
}

TEST(CombineRows, ANaNStaysInItsColumn) {
  on_every_target([] {
    std::vector<float> x(20, 1.0F), y(20);
    x[11] = std::numeric_limits<float>::quiet_NaN();
    const float* in[] = {x.data()};
    float* out[] = {y.data()};
    const float matrix[] = {2.0F};
    combine_rows(out, in, {matrix, 1, 1}, 20);
    for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(std::isnan(y[i]), i == 11);
  });
}

}  // namespace
}  // namespace sluice::kernels
