// Optimizer updates and weight normalisation on every SIMD target.
#include "sluice/kernels/optim.hpp"

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
            sgd_step(w.data(), momentum == 0.0 ? nullptr : v.data(), grad.data(), 0.5F, 0.1F,
                     static_cast<float>(momentum), 0.01F, nesterov, n);
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
      sgd_step(w.data(), v.data(), grad, 0.5F, 0.1F, 0.9F, 0.01F, nesterov, n);
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
    sgd_step(w.data(), v.data(), grad.data(), 1.0F, 0.1F, 0.5F, 0.0F, false, 20);
    for (const float value : v) EXPECT_EQ(value, 0.0F);
    std::vector<float> m(20, 1e-36F);
    std::fill(v.begin(), v.end(), 1e-36F);
    adam_step(w.data(), m.data(), v.data(), grad.data(),
              {1.0F, 0.1F, 0.5F, 0.5F, 1e-8F, 0.0F, 1.0F, 1.0F, false}, 20);
    for (const float value : m) EXPECT_EQ(value, 0.0F);
    for (const float value : v) EXPECT_EQ(value, 0.0F);
  });
}

template <class T>
struct WeightNorm {
  std::size_t rows, n;
  std::vector<T> v, g, dw;

  WeightNorm(std::size_t rows_, std::size_t n_)
      : rows(rows_),
        n(n_),
        v(converted<T>(normal_values<float>(rows * n, 1))),
        g(converted<T>(normal_values<float>(n, 2))),
        dw(converted<T>(normal_values<float>(rows * n, 3))) {}

  struct Result {
    std::vector<T> w, norm, dv, dg;
    std::vector<double> squares;
  };
  // Only columns [begin, end) are computed; others keep what was there.
  Result solve(std::size_t begin, std::size_t end) const {
    Result r{std::vector<T>(rows * n, T(77)), std::vector<T>(n, T(77)),
             std::vector<T>(rows * n, T(77)), std::vector<T>(n, T(77)), std::vector<double>(n, 77)};
    weight_norm_forward(r.w.data(), r.norm.data(), v.data(), g.data(), rows, n, begin, end);
    weight_norm_backward(r.dv.data(), r.dg.data(), r.squares.data(), dw.data(), v.data(), g.data(),
                         r.norm.data(), rows, n, begin, end);
    return r;
  }
};

TEST(WeightNorm, FloatMatchesDoubleOnEveryTarget) {
  on_every_target([] {
    for (const std::size_t rows : {1U, 3U, 4U, 9U, 500U}) {
      for (const std::size_t n : {1U, 5U, 16U, 37U, 2055U}) {
        if (rows * n > 200000) continue;
        const auto want = WeightNorm<double>(rows, n).solve(0, n);
        const WeightNorm<float> narrow(rows, n);
        const auto whole = narrow.solve(0, n);
        const auto close = [](const std::vector<float>& got, const std::vector<double>& expected) {
          for (std::size_t i = 0; i < got.size(); ++i) {
            ASSERT_NEAR(static_cast<double>(got[i]), expected[i],
                        2e-5 * (1.0 + std::abs(expected[i])));
          }
        };
        // With one row w = ±g, and dv is a difference of equal terms over a norm that may be tiny.
        close(whole.norm, want.norm);
        close(whole.w, want.w);
        close(whole.dg, want.dg);
        if (rows > 1) close(whole.dv, want.dv);

        auto in_place = narrow.dw;
        auto other = whole;
        weight_norm_backward(in_place.data(), other.dg.data(), other.squares.data(),
                             in_place.data(), narrow.v.data(), narrow.g.data(), whole.norm.data(),
                             rows, n, 0, n);
        ASSERT_EQ(in_place, whole.dv);

        const std::size_t begin = n / 3;
        const std::size_t end = n - n / 4;
        const auto part = narrow.solve(begin, end);
        for (std::size_t i = 0; i < rows * n; ++i) {
          const bool inside = i % n >= begin && i % n < end;
          ASSERT_EQ(part.w[i], inside ? whole.w[i] : 77.0F);
          ASSERT_EQ(part.dv[i], inside ? whole.dv[i] : 77.0F);
        }
        for (std::size_t j = 0; j < n; ++j) {
          const bool inside = j >= begin && j < end;
          ASSERT_EQ(part.norm[j], inside ? whole.norm[j] : 77.0F);
          ASSERT_EQ(part.dg[j], inside ? whole.dg[j] : 77.0F);
          // Summed in order of rows, whatever the vector's length and wherever strips begin.
          double squares = 0;
          for (std::size_t r = 0; r < rows; ++r) {
            const auto value = static_cast<double>(whole.dv[r * n + j]);
            squares += value * value;
          }
          ASSERT_EQ(whole.squares[j], squares);
          ASSERT_EQ(part.squares[j], inside ? squares : 77.0);
        }
      }
    }
  });
}

// Central differences of Σ dw · w in float64, step 1e-6: error about 1e-9.
TEST(WeightNorm, DerivativesMatchCentralDifferences) {
  WeightNorm<double> p(5, 7);
  const auto result = p.solve(0, p.n);
  const auto objective = [&] {
    const auto w = p.solve(0, p.n).w;
    double sum = 0.0;
    for (std::size_t i = 0; i < w.size(); ++i) sum += p.dw[i] * w[i];
    return sum;
  };
  const auto slope = [&](double& at) {
    const double before = at;
    at = before + 1e-6;
    const double above = objective();
    at = before - 1e-6;
    const double below = objective();
    at = before;
    return (above - below) / 2e-6;
  };
  for (std::size_t j = 0; j < p.n; ++j) {
    EXPECT_NEAR(result.dg[j], slope(p.g[j]), 1e-7);
    double square = 0.0;
    for (std::size_t r = 0; r < p.rows; ++r) {
      EXPECT_NEAR(result.dv[r * p.n + j], slope(p.v[r * p.n + j]), 1e-7);
      square += result.w[r * p.n + j] * result.w[r * p.n + j];
    }
    EXPECT_NEAR(std::sqrt(square), std::abs(p.g[j]), 1e-12);
  }
}

}  // namespace
}  // namespace sluice::kernels
