// Softmax and cross-entropy: float against double on every SIMD target, double against the
// definition and central differences.
#include "sluice/kernels/cross_entropy.hpp"

#include <limits>

#include "kernels/support.hpp"
#include "sluice/kernels/softmax.hpp"

namespace sluice::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<std::int32_t> targets_for(std::size_t rows, std::size_t n) {
  std::vector<std::int32_t> target(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    target[r] = static_cast<std::int32_t>(RandomKey{5, 0, 0}.bits(r) % n);
  }
  return target;
}

TEST(CrossEntropy, FloatMatchesDoubleOnEveryTarget) {
  on_every_target([] {
    for (const std::size_t n : {1U, 3U, 16U, 17U, 1000U, 1024U, 5003U}) {
      for (const double spread : {1.0, 30.0, 1e4}) {
        constexpr std::size_t rows = 3;
        const auto logits = normal_values<float>(rows * n, 1, spread);
        const auto bias = normal_values<float>(n, 2);
        const auto target = targets_for(rows, n);
        for (const bool biased : {false, true}) {
          // The sum with the bias is rounded to float, as the kernel must.
          auto wide = converted<double>(logits);
          for (std::size_t i = 0; biased && i < rows * n; ++i) {
            wide[i] = static_cast<double>(logits[i] + bias[i % n]);
          }
          std::vector<double> want(rows, 1.0);
          softmax_cross_entropy(
              CrossEntropyRows<double>{want.data(), wide.data(), nullptr, target.data(), 0.5}, rows,
              n);

          const float* const bias_or_null = biased ? bias.data() : nullptr;
          auto narrow = logits;
          std::vector<float> nll(rows, 1.0F);
          softmax_cross_entropy(
              CrossEntropyRows<float>{nll.data(), narrow.data(), bias_or_null, target.data(), 0.0F},
              rows, n);
          EXPECT_EQ(narrow, logits) << "without a gradient the logits stay";
          std::vector<float> again(rows, 1.0F);
          softmax_cross_entropy(CrossEntropyRows<float>{again.data(), narrow.data(), bias_or_null,
                                                        target.data(), 0.5F},
                                rows, n);
          for (std::size_t r = 0; r < rows; ++r) {
            EXPECT_NEAR(static_cast<double>(nll[r]), want[r], 1e-6 * (1.0 + want[r]));
            EXPECT_EQ(nll[r], again[r]);
          }
          for (std::size_t i = 0; i < rows * n; ++i) {
            ASSERT_NEAR(static_cast<double>(narrow[i]), wide[i], 1e-7 + 2e-6 * std::abs(wide[i]));
          }
        }
        auto log = logits;
        softmax_forward(log.data(), log.data(), {rows, n, SoftmaxKind::log_softmax});
        auto log_wide = converted<double>(logits);
        softmax_forward(log_wide.data(), log_wide.data(), {rows, n, SoftmaxKind::log_softmax});
        for (std::size_t i = 0; i < rows * n; ++i) {
          ASSERT_NEAR(static_cast<double>(log[i]), log_wide[i],
                      2e-6 * (1.0 + std::abs(log_wide[i])));
        }
      }
    }
  });
}

TEST(CrossEntropy, DoubleIsTheDefinition) {
  constexpr std::size_t n = 7;
  const auto logits = normal_values<double>(n, 1, 2.0);
  const auto bias = normal_values<double>(n, 2);
  const std::int32_t target = 4;
  const auto loss = [&](const std::vector<double>& at) {
    double sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) sum += std::exp(at[i] + bias[i]);
    return std::log(sum) - at[4] - bias[4];
  };
  auto gradient = logits;
  double nll = 3.0;
  softmax_cross_entropy(CrossEntropyRows<double>{&nll, gradient.data(), bias.data(), &target, 2.0},
                        1, n);
  EXPECT_NEAR(nll, 3.0 + loss(logits), 1e-13);
  for (std::size_t i = 0; i < n; ++i) {
    // Central differences, step 1e-5: error about 1e-10.
    auto above = logits;
    auto below = logits;
    above[i] += 1e-5;
    below[i] -= 1e-5;
    EXPECT_NEAR(gradient[i], 2.0 * (loss(above) - loss(below)) / 2e-5, 1e-9);
  }
  auto log = logits;
  softmax_forward(log.data(), log.data(), {1, n, SoftmaxKind::log_softmax});
  double total = 0.0;
  for (const double value : log) total += std::exp(value);
  EXPECT_NEAR(total, 1.0, 1e-14);
}

TEST(CrossEntropy, GradientsSumToZero) {
  on_every_target([] {
    constexpr std::size_t n = 33278;
    auto logits = normal_values<float>(n, 1, 3.0);
    const std::int32_t target = 77;
    float nll = 0.0F;
    softmax_cross_entropy(CrossEntropyRows<float>{&nll, logits.data(), nullptr, &target, 1.0F}, 1,
                          n);
    double sum = 0.0;
    for (const float value : logits) sum += static_cast<double>(value);
    EXPECT_NEAR(sum, 0.0, 1e-6);
  });
}

TEST(CrossEntropy, MinusInfinityIsProbabilityZero) {
  on_every_target([] {
    for (const std::size_t n : {3U, 40U}) {
      std::vector<float> logits(n, 1.0F);
      logits[1] = -kInf;
      auto log = logits;
      softmax_forward(log.data(), log.data(), {1, n, SoftmaxKind::log_softmax});
      EXPECT_EQ(log[1], -kInf);
      EXPECT_NEAR(log[0], -std::log(static_cast<float>(n - 1)), 1e-6);

      const std::int32_t target = 0;
      const std::int32_t impossible = 1;
      float nll = 0.0F;
      auto gradient = logits;
      softmax_cross_entropy(
          CrossEntropyRows<float>{&nll, gradient.data(), nullptr, &impossible, 0.0F}, 1, n);
      EXPECT_EQ(nll, kInf);
      nll = 0.0F;
      softmax_cross_entropy(CrossEntropyRows<float>{&nll, gradient.data(), nullptr, &target, 1.0F},
                            1, n);
      EXPECT_NEAR(nll, std::log(static_cast<float>(n - 1)), 1e-6);
      EXPECT_EQ(gradient[1], 0.0F);
      for (const float value : gradient) EXPECT_TRUE(std::isfinite(value));

      std::vector<float> none(n, -kInf);
      softmax_forward(none.data(), none.data(), {1, n, SoftmaxKind::log_softmax});
      for (const float value : none) EXPECT_TRUE(std::isnan(value));
    }
  });
}

TEST(CrossEntropy, NanMakesItsRowNan) {
  on_every_target([] {
    for (std::size_t at = 0; at < 21; ++at) {
      auto logits = normal_values<float>(42, 1);
      logits[at] = std::numeric_limits<float>::quiet_NaN();
      const std::int32_t target[] = {2, 2};
      float nll[] = {0.0F, 0.0F};
      softmax_cross_entropy(CrossEntropyRows<float>{nll, logits.data(), nullptr, target, 1.0F}, 2,
                            21);
      EXPECT_TRUE(std::isnan(nll[0]));
      EXPECT_TRUE(std::isfinite(nll[1]));
    }
  });
}

}  // namespace
}  // namespace sluice::kernels
