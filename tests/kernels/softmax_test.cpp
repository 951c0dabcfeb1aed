// Softmax, log-softmax and softmin: float against double on every SIMD target, infinities and NaN.
#include <limits>

#include "kernels/support.hpp"
#include "sluice/kernels/softmax.hpp"

namespace sluice::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr SoftmaxKind kKinds[] = {SoftmaxKind::softmax, SoftmaxKind::log_softmax,
                                  SoftmaxKind::softmin};

TEST(Softmax, FloatMatchesDoubleOnEveryTarget) {
  on_every_target([] {
    for (const SoftmaxKind kind : kKinds) {
      const bool log = kind == SoftmaxKind::log_softmax;
      for (const std::size_t n : {1U, 3U, 16U, 65U, 1000U, 5003U}) {
        for (const double spread : {1.0, 30.0, 1e4}) {
          constexpr std::size_t rows = 3;
          const auto x = normal_values<float>(rows * n, 1, spread);
          const auto dy = normal_values<float>(rows * n, 2);
          std::vector<float> y(rows * n), dx(rows * n);
          std::vector<double> want(rows * n), want_dx(rows * n);
          softmax_forward(y.data(), x.data(), {rows, n, kind});
          softmax_forward(want.data(), converted<double>(x).data(), {rows, n, kind});
          double total = 0.0;
          for (std::size_t i = 0; i < rows * n; ++i) {
            // The bounds softmax.hpp states; below e^-69 of the largest a probability may be 0.
            const double bound = log ? 2e-6 * (1.0 + std::abs(want[i])) : 5e-6 * want[i] + 1e-29;
            ASSERT_NEAR(static_cast<double>(y[i]), want[i], bound) << n << " " << spread;
            total += log ? std::exp(static_cast<double>(y[i])) : static_cast<double>(y[i]);
          }
          // The logarithm's rounding counts in proportion to its size.
          EXPECT_NEAR(total, 3.0, log ? 6e-6 : 2e-6);
          softmax_backward(dx.data(), dy.data(), y.data(), {rows, n, kind});
          softmax_backward(want_dx.data(), converted<double>(dy).data(),
                           converted<double>(y).data(), {rows, n, kind});
          for (std::size_t i = 0; i < rows * n; ++i) {
            const double p = log ? 1.0 : static_cast<double>(y[i]);
            const double root = log ? std::sqrt(static_cast<double>(n)) : 1.0;
            ASSERT_NEAR(static_cast<double>(dx[i]), want_dx[i],
                        2e-6 * p * (root + std::abs(want_dx[i])) + 1e-37);
          }
          // In place.
          auto again = x;
          softmax_forward(again.data(), again.data(), {rows, n, kind});
          EXPECT_EQ(again, y);
          auto gradient = dy;
          softmax_backward(gradient.data(), gradient.data(), y.data(), {rows, n, kind});
          EXPECT_EQ(gradient, dx);
        }
      }
    }
  });
}

TEST(Softmax, MaskedElementsHaveProbabilityZero) {
  on_every_target([] {
    for (const SoftmaxKind kind : kKinds) {
      const float mask = kind == SoftmaxKind::softmin ? kInf : -kInf;
      for (const std::size_t n : {2U, 21U, 70U}) {
        std::vector<float> x(2 * n, 1.0F);
        x[1] = x[n - 1] = mask;
        std::fill_n(x.begin() + static_cast<std::ptrdiff_t>(n), n, mask);
        auto y = x;
        softmax_forward(y.data(), x.data(), {2, n, kind});
        const auto left = static_cast<float>(n - (n > 2 ? 2 : 1));
        if (kind == SoftmaxKind::log_softmax) {
          EXPECT_EQ(y[1], -kInf);
          EXPECT_NEAR(y[0], -std::log(left), 1e-6);
        } else {
          EXPECT_EQ(y[1], 0.0F);
          EXPECT_NEAR(y[0], 1.0F / left, 1e-7);
        }
        for (std::size_t i = n; i < 2 * n; ++i) EXPECT_TRUE(std::isnan(y[i]));
        const std::vector<float> dy(n, 1.0F);
        std::vector<float> dx(n);
        softmax_backward(dx.data(), dy.data(), y.data(), {1, n, kind});
        for (const float value : dx) EXPECT_TRUE(std::isfinite(value));
      }
    }
  });
}

TEST(Softmax, NanFillsItsRowOnly) {
  on_every_target([] {
    for (const SoftmaxKind kind : kKinds) {
      constexpr std::size_t n = 75;
      for (std::size_t at = 0; at < n; ++at) {
        for (const bool infinite : {false, true}) {
          auto x = normal_values<float>(2 * n, 1);
          x[at] = !infinite                      ? std::numeric_limits<float>::quiet_NaN()
                  : kind == SoftmaxKind::softmin ? -kInf
                                                 : kInf;
          softmax_forward(x.data(), x.data(), {2, n, kind});
          for (std::size_t i = 0; i < n; ++i) ASSERT_TRUE(std::isnan(x[i]));
          for (std::size_t i = n; i < 2 * n; ++i) ASSERT_TRUE(std::isfinite(x[i]));
        }
      }
    }
  });
}

}  // namespace
}  // namespace sluice::kernels
