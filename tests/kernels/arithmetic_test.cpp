// Scaling and sums on every SIMD target.
#include "sluice/kernels/arithmetic.hpp"

#include "kernels/support.hpp"

namespace sluice::kernels {
namespace {

constexpr std::size_t kSizes[] = {0, 1, 3, 4, 16, 17, 31, 1003, 5000};

TEST(Arithmetic, ScaleAndAdd) {
  on_every_target([] {
    for (const std::size_t n : kSizes) {
      const auto x = normal_values<float>(n + 1, 1);
      const auto y = normal_values<float>(n + 2, 2);
      auto scaled = y;
      auto added = y;
      scale_into(scaled.data() + 1, x.data() + 1, -0.3F, n);
      add_scaled(added.data() + 1, x.data() + 1, -0.3F, n);
      EXPECT_EQ(scaled[0], y[0]);
      EXPECT_EQ(added[n + 1], y[n + 1]);
      for (std::size_t i = 1; i <= n; ++i) {
        EXPECT_EQ(scaled[i], -0.3F * x[i]);
        EXPECT_NEAR(added[i], y[i] - 0.3F * x[i], 1e-6);
      }
    }
  });
}

TEST(Arithmetic, ColumnSums) {
  on_every_target([] {
    for (const std::size_t n : {1U, 5U, 16U, 33U}) {
      for (const std::size_t rows : {0U, 1U, 3U, 4U, 9U}) {
        const auto x = normal_values<float>(rows * n, 1);
        std::vector<float> sums(n + 1, 2.0F);
        column_sums(sums.data(), x.data(), rows, n);
        const auto wide = converted<double>(x);
        std::vector<double> want(n, 2.0);
        column_sums(want.data(), wide.data(), rows, n);
        for (std::size_t j = 0; j < n; ++j) {
          double sum = 2.0;
          for (std::size_t r = 0; r < rows; ++r) sum += wide[r * n + j];
          EXPECT_NEAR(want[j], sum, 1e-13);
          EXPECT_NEAR(static_cast<double>(sums[j]), sum, 3e-6);
        }
        EXPECT_EQ(sums[n], 2.0F);
      }
    }
  });
}

TEST(Arithmetic, SumOfSquaresIsTheSameBitsOnEveryTarget) {
  for (const std::size_t n : {0U, 1U, 31U, 32U, 33U, 4095U, 4096U, 4097U, 100003U}) {
    const auto x = normal_values<float>(n + 1, 1);
    const auto wide = converted<double>(x);
    const double want = sum_of_squares(wide.data() + 1, n);
    double plain = 0.0;
    for (std::size_t i = 1; i <= n; ++i) plain += wide[i] * wide[i];
    EXPECT_NEAR(want, plain, 1e-12 * plain);
    on_every_target([&] { EXPECT_EQ(sum_of_squares(x.data() + 1, n), want) << n; });
  }
}

TEST(Arithmetic, AddConstant) {
  on_every_target([] {
    for (const std::size_t n : kSizes) {
      const auto x = normal_values<float>(n + 2, 1);
      auto y = x;
      add_constant(y.data() + 1, x.data() + 1, 0.7F, n);
      EXPECT_EQ(y[0], x[0]);
      EXPECT_EQ(y[n + 1], x[n + 1]);
      for (std::size_t i = 1; i <= n; ++i) EXPECT_EQ(y[i], x[i] + 0.7F);
      auto in_place = x;
      add_constant(in_place.data() + 1, in_place.data() + 1, 0.7F, n);
      EXPECT_EQ(in_place, y);
      auto wide = converted<double>(x);
      add_constant(wide.data(), wide.data(), 0.5, n);
      for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(wide[i], static_cast<double>(x[i]) + 0.5);
    }
  });
}

TEST(Arithmetic, ClampKeepsWhatIsWithinAndNan) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  on_every_target([] {
    for (const std::size_t n : kSizes) {
      auto x = normal_values<float>(n + 1, 3, 2.0);
      if (n > 3) {
        x[0] = std::numeric_limits<float>::quiet_NaN();
        x[1] = inf;
        x[2] = -inf;
      }
      auto y = x;
      auto wide = converted<double>(x);
      clamp(y.data(), 1.5F, n);
      clamp(wide.data(), 1.5, n);
      for (std::size_t i = 0; i < n; ++i) {
        const float want = std::isnan(x[i]) ? x[i] : std::min(std::max(x[i], -1.5F), 1.5F);
        EXPECT_TRUE(y[i] == want || (std::isnan(y[i]) && std::isnan(want))) << i;
        EXPECT_TRUE(wide[i] == static_cast<double>(want) || std::isnan(want)) << i;
      }
      EXPECT_EQ(y[n], x[n]);
    }
  });
}

TEST(Arithmetic, InnerProduct) {
  for (const std::size_t n : kSizes) {
    const auto x = normal_values<double>(n, 1), y = normal_values<double>(n, 2);
    double plain = 0, size = 1;
    for (std::size_t i = 0; i < n; ++i) {
      plain += x[i] * y[i];
      size += std::abs(x[i] * y[i]);
    }
    EXPECT_NEAR(inner_product(x.data(), y.data(), n), plain, 1e-14 * size) << n;
  }
}

}  // namespace
}  // namespace sluice::kernels
