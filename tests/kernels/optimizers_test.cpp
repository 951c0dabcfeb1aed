// Optimizer updates on every SIMD target.
#include "sluice/kernels/optimizers.hpp"

#include <cstring>
#include <functional>

#include "kernels/support.hpp"

namespace sluice::kernels {
namespace {

constexpr std::size_t kSizes[] = {0, 1, 3, 16, 17, 1003};

TEST(Optim, SgdFollowsPyTorch) {
  on_every_target([] {
    for (const std::size_t n : kSizes) {
      for (const double momentum : {0.0, 0.9}) {
        for (const bool nesterov : {false, true}) {
          auto w = normal_values<float>(n + 1, 1);
          std::vector<float> v(n, 0.0F);
          auto want_w = converted<double>(w);
          std::vector<double> want_v(n, 0.0);
          for (std::uint32_t step = 0; step < 3; ++step) {
            const auto grad = normal_values<float>(n, 10 + step);
            sgd_step(w.data(), momentum == 0.0 ? nullptr : v.data(), grad.data(),
                     {0.5F, 0.1F, static_cast<float>(momentum), 0.01F, nesterov}, n);
            for (std::size_t i = 0; i < n; ++i) {
              const double g = 0.5 * static_cast<double>(grad[i]) + 0.01 * want_w[i];
              want_v[i] = momentum * want_v[i] + g;
              want_w[i] -= 0.1 * (nesterov ? g + momentum * want_v[i] : want_v[i]);
            }
          }
          for (std::size_t i = 0; i <= n; ++i) {
            EXPECT_NEAR(static_cast<double>(w[i]), want_w[i], 2e-6);
          }
        }
      }
    }
  });
}

TEST(Optim, AdamFollowsPyTorch) {
  on_every_target([] {
    for (const std::size_t n : kSizes) {
      for (const bool decoupled : {false, true}) {
        auto w = normal_values<float>(n + 1, 1);
        std::vector<float> m(n, 0.0F);
        std::vector<float> v(n, 0.0F);
        auto want_w = converted<double>(w);
        std::vector<double> want_m(n, 0.0);
        std::vector<double> want_v(n, 0.0);
        for (std::uint32_t t = 1; t <= 4; ++t) {
          const auto grad = normal_values<float>(n, 10 + t);
          const double correction1 = 1.0 - std::pow(0.9, t);
          const double correction2 = 1.0 - std::pow(0.99, t);
          adam_step(w.data(), m.data(), v.data(), grad.data(),
                    {0.5F, 0.01F, 0.9F, 0.99F, 1e-8F, 0.1F, static_cast<float>(correction1),
                     static_cast<float>(correction2), decoupled},
                    n);
          for (std::size_t i = 0; i < n; ++i) {
            double g = 0.5 * static_cast<double>(grad[i]);
            if (decoupled) {
              want_w[i] *= 1.0 - 0.01 * 0.1;
            } else {
              g += 0.1 * want_w[i];
            }
            want_m[i] = 0.9 * want_m[i] + 0.1 * g;
            want_v[i] = 0.99 * want_v[i] + 0.01 * g * g;
            const double size = std::sqrt(want_v[i]) / std::sqrt(correction2) + 1e-8;
            want_w[i] -= 0.01 / correction1 * want_m[i] / size;
          }
        }
        for (std::size_t i = 0; i <= n; ++i) {
          EXPECT_NEAR(static_cast<double>(w[i]), want_w[i], 3e-6);
        }
      }
    }
  });
}

TEST(Optim, NoGradientIsOneOfZerosToTheBit) {
  on_every_target([] {
    constexpr std::size_t n = 1003;
    const std::vector<float> zeros(n, 0.0F);
    const auto update = [&](const float* grad, bool nesterov, bool decoupled) {
      auto w = normal_values<float>(n, 1), v = normal_values<float>(n, 2);
      sgd_step(w.data(), v.data(), grad, {0.5F, 0.1F, 0.9F, 0.01F, nesterov}, n);
      auto m = normal_values<float>(n, 3), s = normal_values<float>(n, 4);
      for (float& x : s) x *= x;
      adam_step(w.data(), m.data(), s.data(), grad,
                {0.5F, 0.01F, 0.9F, 0.99F, 1e-8F, 0.1F, 0.1F, 0.01F, decoupled}, n);
      return std::vector{w, v, m, s};
    };
    for (const bool nesterov : {false, true}) {
      for (const bool decoupled : {false, true}) {
        const auto want = update(zeros.data(), nesterov, decoupled);
        const auto got = update(nullptr, nesterov, decoupled);
        for (std::size_t i = 0; i < want.size(); ++i) {
          EXPECT_EQ(std::memcmp(got[i].data(), want[i].data(), n * sizeof(float)), 0);
        }
      }
    }
  });
}

// A word that stops occurring must not slow its row's updates down for ever.
TEST(Optim, MomentsEndAtZeroRatherThanDenormal) {
  on_every_target([] {
    std::vector<float> w(20, 1.0F);
    std::vector<float> v(20, 1e-36F);
    const std::vector<float> grad(20, 0.0F);
    sgd_step(w.data(), v.data(), grad.data(), {1.0F, 0.1F, 0.5F, 0.0F, false}, 20);
    for (const float value : v) EXPECT_EQ(value, 0.0F);
    std::vector<float> m(20, 1e-36F);
    std::fill(v.begin(), v.end(), 1e-36F);
    adam_step(w.data(), m.data(), v.data(), grad.data(),
              {1.0F, 0.1F, 0.5F, 0.5F, 1e-8F, 0.0F, 1.0F, 1.0F, false}, 20);
    for (const float value : m) EXPECT_EQ(value, 0.0F);
    for (const float value : v) EXPECT_EQ(value, 0.0F);
  });
}

}  // namespace
}  // namespace sluice::kernels
