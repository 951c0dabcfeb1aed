#include "sluice/kernels/attention.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "support.hpp"

namespace sluice::kernels {
namespace {

// A band softmax in float64 by its definition.
std::vector<double> plain(const std::vector<float>& x, std::size_t rows, std::size_t n, Band band) {
  std::vector<double> p(rows * n, 0.0);
  for (std::size_t r = 0; r < rows; ++r) {
    const auto inside = [&](std::size_t i) {
      const auto column = static_cast<std::ptrdiff_t>(i), row = static_cast<std::ptrdiff_t>(r);
      return column >= band.first + row && column < band.last + row;
    };
    double largest = -INFINITY, sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (inside(i)) largest = std::max(largest, static_cast<double>(x[r * n + i]));
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (!inside(i)) continue;
      p[r * n + i] = std::exp(static_cast<double>(x[r * n + i]) - largest);
      sum += p[r * n + i];
    }
    for (std::size_t i = 0; i < n; ++i) p[r * n + i] /= sum;
  }
  return p;
}

TEST(AttentionKernels, BandSoftmaxAndItsGradient) {
  on_every_target([] {
    for (const std::size_t n : {1UL, 7UL, 16UL, 33UL, 1500UL}) {
      for (const Band band : {Band{0, 1}, Band{-5, 1}, Band{-1000, 3}, Band{-2, 2000}}) {
        const std::size_t rows = std::min<std::size_t>(n, 5);
        const std::vector<float> x = normal_values<float>(rows * n, 1, 20.0);
        const std::vector<float> dp = normal_values<float>(rows * n, 2);
        const std::vector<double> expected = plain(x, rows, n, band);
        std::vector<float> p = x, stats(2 * rows);
        band_softmax(p.data(), stats.data(), {rows, n, n, band});
        std::vector<float> again = x, dx = dp;
        band_softmax_backward(again.data(), dx.data(), stats.data(), {rows, n, n, band});
        for (std::size_t r = 0; r < rows; ++r) {
          double mean = 0;
          for (std::size_t i = 0; i < n; ++i) {
            mean += expected[r * n + i] * static_cast<double>(dp[r * n + i]);
          }
          for (std::size_t i = r * n; i < (r + 1) * n; ++i) {
            // Rounding of x - largest, at most 200 / 2²⁴ of it, is relative error of p.
            ASSERT_NEAR(p[i], expected[i], 1e-5 * expected[i] + 2e-30) << i;
            ASSERT_EQ(again[i], p[i]) << i;
            const double gradient = expected[i] * (static_cast<double>(dp[i]) - mean);
            ASSERT_NEAR(dx[i], gradient, 2e-5 * expected[i] + 1e-28) << i;
          }
        }
      }
    }
  });
}

TEST(AttentionKernels, BandSoftmaxOfInfinitiesAndNan) {
  on_every_target([] {
    std::vector<float> x{-INFINITY, 1, 1e4F, 2, NAN, NAN, 0, 1, -1e4F, 2, NAN, NAN};
    std::vector<float> stats(4);
    band_softmax(x.data(), stats.data(), {2, 4, 6, {0, 4}});  // row 1 from its column 1 on
    EXPECT_EQ(x[0], 0);
    EXPECT_EQ(x[2], 1);
    EXPECT_EQ(x[6], 0);
    EXPECT_NEAR(x[7] + x[9], 1, 1e-6);
    EXPECT_EQ(x[8], 0);
    EXPECT_TRUE(std::isnan(x[4]) && std::isnan(x[11]));  // behind the rows
    std::vector<float> poisoned{0, NAN, 1};
    band_softmax(poisoned.data(), stats.data(), {1, 3, 3, {0, 2}});
    EXPECT_TRUE(std::isnan(poisoned[0]) && std::isnan(poisoned[1]));
    EXPECT_EQ(poisoned[2], 0);
  });
}

TEST(AttentionKernels, RotationsTurnAndTurnBack) {
  on_every_target([] {
    for (const std::size_t pairs : {0UL, 1UL, 3UL, 16UL, 37UL}) {
      const std::vector<float> x = normal_values<float>(2 * pairs, 1);
      const std::vector<float> angles = normal_values<float>(pairs, 2, 3.0);
      std::vector<float> cosine(pairs), sine(pairs), y(2 * pairs), back(2 * pairs);
      for (std::size_t i = 0; i < pairs; ++i) {
        cosine[i] = std::cos(angles[i]);
        sine[i] = std::sin(angles[i]);
      }
      rotate_pairs(y.data(), x.data(), {cosine.data(), sine.data(), 2.0F, false}, pairs);
      rotate_pairs(back.data(), y.data(), {cosine.data(), sine.data(), 0.5F, true}, pairs);
      std::vector<float> in_place = x;
      rotate_pairs(in_place.data(), in_place.data(), {cosine.data(), sine.data(), 2.0F, false},
                   pairs);
      for (std::size_t i = 0; i < pairs; ++i) {
        EXPECT_NEAR(y[i], 2 * (x[i] * cosine[i] - x[i + pairs] * sine[i]), 2e-6);
        EXPECT_NEAR(y[i + pairs], 2 * (x[i + pairs] * cosine[i] + x[i] * sine[i]), 2e-6);
        EXPECT_NEAR(back[i], x[i], 1e-6);
        EXPECT_NEAR(back[i + pairs], x[i + pairs], 1e-6);
        EXPECT_EQ(in_place[i], y[i]);
        EXPECT_EQ(in_place[i + pairs], y[i + pairs]);
      }
    }
  });
}

TEST(AttentionKernels, ProductsOfOneRow) {
  on_every_target([] {
    for (const std::size_t n : {1UL, 5UL, 16UL, 67UL}) {
      const std::size_t rows = 9, pitch = n + 3;
      const std::vector<float> x = normal_values<float>(rows * pitch, 1);
      const std::vector<float> v = normal_values<float>(n, 2), w = normal_values<float>(rows, 3);
      std::vector<float> across(rows), down(n);
      matrix_times_vector(across.data(), x.data(), v.data(), rows, n, pitch);
      vector_times_matrix(down.data(), w.data(), x.data(), rows, n, pitch);
      for (std::size_t r = 0; r < rows; ++r) {
        double sum = 0;
        for (std::size_t i = 0; i < n; ++i) {
          sum += static_cast<double>(x[r * pitch + i]) * static_cast<double>(v[i]);
        }
        EXPECT_NEAR(across[r], sum, 1e-5);
      }
      for (std::size_t i = 0; i < n; ++i) {
        double sum = 0;
        for (std::size_t r = 0; r < rows; ++r) {
          sum += static_cast<double>(x[r * pitch + i]) * static_cast<double>(w[r]);
        }
        EXPECT_NEAR(down[i], sum, 1e-5);
      }
    }
  });
}

}  // namespace
}  // namespace sluice::kernels
