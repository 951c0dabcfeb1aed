// The accuracy that sluice/kernels/units.hpp and elementwise.hpp promise, on every SIMD target.
#include <algorithm>
#include <functional>
#include <limits>
#include <numbers>

#include "kernels/support.hpp"
#include "sluice/kernels/elementwise.hpp"

namespace sluice::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// References, written from the formulas and not from the kernels.
double sigma(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
double gelu_tanh_argument(double x) {
  return 2 * std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
}
double product(double x, double factor) { return factor == 0 ? 0 : x * factor; }

double sigmoid_slope(double x) { return sigma(x) * sigma(-x); }
double tanh_slope(double x) { return 1 / (std::cosh(x) * std::cosh(x)); }
double gelu_slope(double x) {
  return normal_cdf(x) + product(x, std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi));
}
double silu_slope(double x) { return sigma(x) * (1 + product(x, sigma(-x))); }
double gelu_tanh_slope(double x) {
  const double w = gelu_tanh_argument(x);
  const double dw = 2 * std::sqrt(2 / std::numbers::pi) * (1 + 3 * 0.044715 * x * x);
  return sigma(w) * (1 + product(x * dw, sigma(-w)));
}

// A bound holds where the error is at most `ulp` units in the last place, or `relative` times the
// value, or `absolute`.
struct Bound {
  const char* name;
  std::function<void(float*, const float*, std::size_t)> kernel;
  std::function<double(double)> reference;
  double ulp, relative, absolute;
};

Bound value_bound(const char* name, std::function<double(double)> reference, double ulp,
                  double relative, double absolute) {
  const Activation f = parse_activation(name);
  return {name,
          [f](float* y, const float* x, std::size_t n) { activation_forward(y, x, n, f); },
          std::move(reference),
          ulp,
          relative,
          absolute};
}

Bound slope_bound(const char* name, std::function<double(double)> reference, double ulp,
                  double absolute) {
  const Activation f = parse_activation(name);
  return {name,
          [f](float* y, const float* x, std::size_t n) {
            const std::vector<float> ones(n, 1.0F);
            activation_backward(y, ones.data(), x, n, f);
          },
          std::move(reference),
          ulp,
          0.0,
          absolute};
}

void expect_within(const Bound& bound, const std::vector<float>& x) {
  std::vector<double> want(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) want[i] = bound.reference(static_cast<double>(x[i]));
  on_every_target([&] {
    std::vector<float> y(x.size());
    bound.kernel(y.data(), x.data(), x.size());
    double worst = 0.0;
    std::size_t where = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double error = std::abs(static_cast<double>(y[i]) - want[i]);
      const bool excused = error <= bound.absolute || error <= bound.relative * std::abs(want[i]);
      const double ulp = excused ? 0.0 : ulp_error(y[i], want[i]);
      if (ulp > worst) {
        worst = ulp;
        where = i;
      }
    }
    EXPECT_LE(worst, bound.ulp) << bound.name << "(" << x[where] << ") is " << y[where]
                                << ", should be " << want[where];
  });
}

TEST(Accuracy, ValuesOverTheWholeFloatRange) {
  const auto all = samples_of_every_binade();
  const Bound bounds[] = {
      {"exponential", [](float* y, const float* x, std::size_t n) { exponential(y, x, n); },
       [](double x) { return std::exp(x); }, 4.0, 0.0, 0x1p-126},
      value_bound("sigmoid", sigma, 4.0, 0.0, 0x1p-126),
      value_bound(
          "tanh", [](double x) { return std::tanh(x); }, 4.0, 0.0, 0.0),
      value_bound(
          "relu", [](double x) { return std::max(x, 0.0); }, 0.0, 0.0, 0.0),
      value_bound(
          "identity", [](double x) { return x; }, 0.0, 0.0, 0.0),
      value_bound(
          "gelu", [](double x) { return product(x, normal_cdf(x)); }, 8.0, 0.0, 0x1p-118),
      value_bound(
          "silu", [](double x) { return product(x, sigma(x)); }, 4.0, 0.0, 0x1p-118),
  };
  for (const Bound& bound : bounds) expect_within(bound, all);
}

TEST(Accuracy, GeluTanhOnBothSidesOfMinusOne) {
  std::vector<float> all = samples_of_every_binade();
  const auto middle = std::partition(all.begin(), all.end(), [](float x) { return x > -1; });
  const auto reference = [](double x) { return product(x, sigma(gelu_tanh_argument(x))); };
  expect_within(value_bound("gelu_tanh", reference, 8.0, 0.0, 0x1p-118),
                std::vector<float>(all.begin(), middle));
  expect_within(value_bound("gelu_tanh", reference, 0.0, 2e-5, 0x1p-118),
                std::vector<float>(middle, all.end()));
}

TEST(Accuracy, DerivativesOverTheWholeFloatRange) {
  const auto all = samples_of_every_binade();
  const Bound bounds[] = {
      slope_bound("sigmoid", sigmoid_slope, 8.0, 0x1p-118),
      slope_bound("tanh", tanh_slope, 8.0, 0x1p-118),
      slope_bound(
          "relu", [](double x) { return x > 0 ? 1.0 : 0.0; }, 0.0, 0.0),
      slope_bound(
          "identity", [](double) { return 1.0; }, 0.0, 0.0),
      slope_bound("gelu", gelu_slope, 0.0, 5e-7),
      slope_bound("silu", silu_slope, 0.0, 5e-7),
      slope_bound("gelu_tanh", gelu_tanh_slope, 0.0, 5e-7),
  };
  for (const Bound& bound : bounds) expect_within(bound, all);
}

// The double kernels against the same references: relative error 1e-13 (some formulas cancel), or
// absolute 1e-15.
TEST(Accuracy, DoubleKernels) {
  struct Case {
    const char* name;
    double (*value)(double);
    double (*slope)(double);
  };
  const Case cases[] = {
      {"identity", [](double x) { return x; }, [](double) { return 1.0; }},
      {"sigmoid", sigma, sigmoid_slope},
      {"tanh", [](double x) { return std::tanh(x); }, tanh_slope},
      {"relu", [](double x) { return x > 0 ? x : 0; }, [](double x) { return x > 0 ? 1.0 : 0.0; }},
      {"gelu", [](double x) { return x * normal_cdf(x); }, gelu_slope},
      {"gelu_tanh", [](double x) { return x * sigma(gelu_tanh_argument(x)); }, gelu_tanh_slope},
      {"silu", [](double x) { return x * sigma(x); }, silu_slope},
  };
  for (const Case& each : cases) {
    const Activation f = parse_activation(each.name);
    const double one = 1.0;
    for (double x = -20.0; x <= 20.0; x += 0.37) {
      double y = 0.0;
      activation_forward(&y, &x, 1, f);
      EXPECT_NEAR(y, each.value(x), 1e-15 + 1e-13 * std::abs(each.value(x))) << each.name << x;
      activation_backward(&y, &one, &x, 1, f);
      EXPECT_NEAR(y, each.slope(x), 1e-15 + 1e-13 * std::abs(each.slope(x))) << each.name << x;
    }
  }
}

template <class T>
void expect_limits() {
  const T inf = std::numeric_limits<T>::infinity();
  struct Case {
    const char* name;
    T at_minus_inf, at_inf;
  };
  const Case cases[] = {{"identity", -inf, inf}, {"sigmoid", 0, 1}, {"tanh", -1, 1},
                        {"relu", 0, inf},        {"gelu", 0, inf},  {"gelu_tanh", 0, inf},
                        {"silu", 0, inf}};
  const std::vector<T> x = {-inf,
                            inf,
                            -150,
                            150,
                            std::numeric_limits<T>::lowest(),
                            std::numeric_limits<T>::max(),
                            0,
                            std::numeric_limits<T>::denorm_min()};
  const std::vector<T> ones(x.size(), 1);
  for (const Case& each : cases) {
    const Activation f = parse_activation(each.name);
    std::vector<T> y(x.size());
    activation_forward(y.data(), x.data(), x.size(), f);
    EXPECT_EQ(y[0], each.at_minus_inf) << each.name;
    EXPECT_EQ(y[1], each.at_inf) << each.name;
    for (std::size_t i = 2; i < x.size(); ++i) EXPECT_TRUE(std::isfinite(y[i])) << each.name;
    activation_backward(y.data(), ones.data(), x.data(), x.size(), f);
    for (const T slope : y) EXPECT_TRUE(std::isfinite(slope)) << each.name;
  }
}

TEST(Accuracy, InfinitiesAndHugeArguments) {
  on_every_target(expect_limits<float>);
  expect_limits<double>();
}

TEST(Accuracy, ExponentialAtTheEnds) {
  on_every_target([] {
    const float x[] = {-kInf, kInf, 88.72283F, 88.73F, -87.3F, -88.0F, 0.0F, -0.0F};
    float y[8];
    exponential(y, x, 8);
    EXPECT_EQ(y[0], 0.0F);
    EXPECT_EQ(y[1], kInf);
    EXPECT_LT(y[2], kInf);
    EXPECT_EQ(y[3], kInf);
    EXPECT_GE(y[4], std::numeric_limits<float>::min());
    EXPECT_EQ(y[5], 0.0F);
    EXPECT_EQ(y[6], 1.0F);
    EXPECT_EQ(y[7], 1.0F);
  });
}

TEST(Accuracy, NanStaysAtItsPlace) {
  on_every_target([] {
    constexpr std::size_t n = 37;
    std::vector<Activation> activations;
    for (const Unit& unit : all_units()) {
      if (!unit.gated) activations.push_back(unit.f);
    }
    const std::vector<float> ones(n, 1.0F);
    for (const std::uint32_t payload : {0x7FC00000U, 0xFFC00000U, 0x7FFFFFFFU, 0x7FC12345U}) {
      for (std::size_t at = 0; at < n; ++at) {
        auto x = normal_values<float>(n, 3);
        x[at] = std::bit_cast<float>(payload);
        std::vector<float> y(n);
        const auto check = [&](std::string_view what) {
          for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(std::isnan(y[i]), i == at) << what;
        };
        for (const Activation f : activations) {
          activation_forward(y.data(), x.data(), n, f);
          check(activation_name(f));
          if (f == Activation::identity) continue;
          activation_backward(y.data(), ones.data(), x.data(), n, f);
          check(activation_name(f));
        }
        exponential(y.data(), x.data(), n);
        check("exponential");
      }
    }
  });
}

}  // namespace
}  // namespace sluice::kernels
