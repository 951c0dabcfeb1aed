// The accuracy that unit_info() and fused_units.hpp promise, on every SIMD target.
#include <algorithm>
#include <cfenv>
#include <limits>
#include <numbers>

#include "kernels/error_bounds.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/fused_units.hpp"

namespace sluice::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// References, written from the formulas and not from the kernels.
double sigma(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
double gelu_tanh_argument(double x) {
  return 2 * std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
}
double clamp(double x, double least, double most) { return std::min(std::max(x, least), most); }
double between(double x, double least, double most) { return x > least && x < most ? 1 : 0; }
double product(double x, double factor) { return factor == 0 ? 0 : x * factor; }

double sigmoid_slope(double x) { return sigma(x) * sigma(-x); }
double tanh_slope(double x) { return 1 / (std::cosh(x) * std::cosh(x)); }
double gelu_slope(double x) {
  return normal_cdf(x) + product(x, std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi));
}
double silu_slope(double x) { return sigma(x) * (1 + product(x, sigma(-x))); }
double mish_slope(double x) {
  const double t = std::tanh(std::log1p(std::exp(x)));
  return t + x * sigma(x) * (1 - t * t);
}
double gelu_tanh_slope(double x) {
  const double w = gelu_tanh_argument(x);
  const double dw = 2 * std::sqrt(2 / std::numbers::pi) * (1 + 3 * 0.044715 * x * x);
  return sigma(w) * (1 + product(x * dw, sigma(-w)));
}

void expect_within(const ErrorBound& bound, const std::string& what, const std::vector<float>& x,
                   const std::vector<float>& got, const std::vector<double>& want) {
  Worst worst;
  for (std::size_t i = 0; i < x.size(); ++i) worst.see(bound, x[i], got[i], want[i]);
  EXPECT_LE(worst.ulp, static_cast<double>(bound.ulp))
      << what << "(" << worst.at << ") is " << worst.got << ", should be " << worst.want;
}

// Against the double kernels, which DoubleKernels below and PyTorch's fixtures hold to the truth.
TEST(Accuracy, ActivationsOverTheWholeFloatRange) {
  const auto x = samples_of_every_binade();
  const auto wide = converted<double>(x);
  const std::vector<float> ones(x.size(), 1.0F);
  const auto wide_ones = converted<double>(ones);
  for (const UnitInfo& info : activation_infos()) {
    const Activation f = parse_activation(info.name);
    std::vector<double> value(x.size());
    std::vector<double> slope(x.size());
    activation_forward(value.data(), wide.data(), x.size(), f);
    activation_backward(slope.data(), wide_ones.data(), wide.data(), x.size(), f);
    on_every_target([&] {
      std::vector<float> y(x.size());
      activation_forward(y.data(), x.data(), x.size(), f);
      expect_within(info.value_error, info.name, x, y, value);
      activation_backward(y.data(), ones.data(), x.data(), x.size(), f);
      expect_within(info.slope_error, info.name + "'", x, y, slope);
    });
  }
}

TEST(Accuracy, ExponentialOverTheWholeFloatRange) {
  const auto x = samples_of_every_binade();
  std::vector<double> want(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) want[i] = std::exp(static_cast<double>(x[i]));
  on_every_target([&] {
    std::vector<float> y(x.size());
    exponential(y.data(), x.data(), x.size());
    expect_within({4, 0x1p-126F}, "exponential", x, y, want);
  });
}

// The double kernels against references written from the formulas: relative error 1e-13 (some
// formulas cancel), or absolute 1e-15.
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
      {"hardsigmoid", [](double x) { return clamp(x / 6 + 0.5, 0, 1); },
       [](double x) { return between(x, -3, 3) / 6; }},
      {"logsigmoid", [](double x) { return std::log(sigma(x)); },
       [](double x) { return sigma(-x); }},
      {"hardtanh", [](double x) { return clamp(x, -1, 1); },
       [](double x) { return between(x, -1, 1); }},
      {"tanhshrink", [](double x) { return x - std::tanh(x); },
       [](double x) { return 1 - tanh_slope(x); }},
      {"softsign", [](double x) { return x > 0 ? 1 - 1 / (1 + x) : 1 / (1 - x) - 1; },
       [](double x) { return std::pow(1 + std::abs(x), -2); }},
      {"softplus", [](double x) { return x > 20 ? x : std::log1p(std::exp(x)); },
       [](double x) { return x > 20 ? 1 : sigma(x); }},
      {"relu6", [](double x) { return clamp(x, 0, 6); }, [](double x) { return between(x, 0, 6); }},
      {"leaky_relu", [](double x) { return std::max(x, double{0.01F} * x); },
       [](double x) { return x > 0 ? 1 : double{0.01F}; }},
      {"elu", [](double x) { return x > 0 ? x : std::expm1(x); },
       [](double x) { return x > 0 ? 1 : std::exp(x); }},
      {"celu", [](double x) { return x > 0 ? x : std::expm1(x); },
       [](double x) { return x > 0 ? 1 : std::exp(x); }},
      {"selu",
       [](double x) {
         return 1.05070098735548049 * (x > 0 ? x : 1.67326324235437728 * std::expm1(x));
       },
       [](double x) {
         return 1.05070098735548049 * (x > 0 ? 1 : 1.67326324235437728 * std::exp(x));
       }},
      {"mish", [](double x) { return x * std::tanh(std::log1p(std::exp(x))); }, mish_slope},
      {"hardswish", [](double x) { return x * clamp(x / 6 + 0.5, 0, 1); },
       [](double x) { return clamp(x / 6 + 0.5, 0, 1) + x * between(x, -3, 3) / 6; }},
      {"softshrink", [](double x) { return x - clamp(x, -0.5, 0.5); },
       [](double x) { return 1 - between(x, -0.5, 0.5); }},
      {"hardshrink", [](double x) { return between(x, -0.5, 0.5) > 0 ? 0 : x; },
       [](double x) { return 1 - between(x, -0.5, 0.5); }},
      {"threshold", [](double x) { return x > 1 ? x : 0; },
       [](double x) { return x > 1 ? 1.0 : 0.0; }},
      {"squared_relu", [](double x) { return x > 0 ? x * x : 0; },
       [](double x) { return x > 0 ? 2 * x : 0; }},
      {"penalized_tanh", [](double x) { return (x > 0 ? 1 : 0.25) * std::tanh(x); },
       [](double x) { return (x > 0 ? 1 : 0.25) * tanh_slope(x); }},
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

// Far out float follows double: the same infinities, and finite derivatives.
TEST(Accuracy, InfinitiesAndHugeArguments) {
  const std::vector<float> x = {-kInf,
                                kInf,
                                -150,
                                150,
                                std::numeric_limits<float>::lowest(),
                                std::numeric_limits<float>::max(),
                                0,
                                std::numeric_limits<float>::denorm_min()};
  const auto wide = converted<double>(x);
  const std::vector<float> ones(x.size(), 1.0F);
  const auto wide_ones = converted<double>(ones);
  for (const UnitInfo& info : activation_infos()) {
    const Activation f = parse_activation(info.name);
    std::vector<double> want(x.size());
    std::vector<double> slope(x.size());
    activation_forward(want.data(), wide.data(), x.size(), f);
    activation_backward(slope.data(), wide_ones.data(), wide.data(), x.size(), f);
    for (const double value : want) EXPECT_FALSE(std::isnan(value)) << info.name;
    on_every_target([&] {
      std::vector<float> y(x.size());
      activation_forward(y.data(), x.data(), x.size(), f);
      expect_within(info.value_error, info.name, x, y, want);
      activation_backward(y.data(), ones.data(), x.data(), x.size(), f);
      // squared_relu's grows without end.
      if (f == Activation::squared_relu) y[1] = y[5] = 1;
      for (const float each : y) EXPECT_TRUE(std::isfinite(each)) << info.name;
    });
  }
}

TEST(Accuracy, LimitsAreTheFormulas) {
  struct Case {
    const char* name;
    double at_minus_inf, at_inf;
  };
  constexpr double inf = std::numeric_limits<double>::infinity();
  const Case cases[] = {{"identity", -inf, inf},
                        {"sigmoid", 0, 1},
                        {"tanh", -1, 1},
                        {"relu", 0, inf},
                        {"gelu", 0, inf},
                        {"gelu_tanh", 0, inf},
                        {"silu", 0, inf},
                        {"hardsigmoid", 0, 1},
                        {"logsigmoid", -inf, 0},
                        {"hardtanh", -1, 1},
                        {"tanhshrink", -inf, inf},
                        {"softsign", -1, 1},
                        {"softplus", 0, inf},
                        {"relu6", 0, 6},
                        {"leaky_relu", -inf, inf},
                        {"elu", -1, inf},
                        {"celu", -1, inf},
                        {"selu", -1.7580993408473766, inf},
                        {"mish", 0, inf},
                        {"hardswish", 0, inf},
                        {"softshrink", -inf, inf},
                        {"hardshrink", -inf, inf},
                        {"threshold", 0, inf},
                        {"squared_relu", 0, inf},
                        {"penalized_tanh", -0.25, 1}};
  for (const Case& each : cases) {
    const double x[] = {-inf, inf};
    double y[2];
    activation_forward(y, x, 2, parse_activation(each.name));
    EXPECT_DOUBLE_EQ(y[0], each.at_minus_inf) << each.name;
    EXPECT_DOUBLE_EQ(y[1], each.at_inf) << each.name;
  }
}

// Denormal numbers are slow to compute with: none may arise on the way to a normal result, nor
// where the result is flushed to 0. The processor says whether one did. (Without fused
// multiply-adds one may, where e^x is within a few binades of the least normal number.)
TEST(Accuracy, NoDenormalNumbersOnTheWay) {
  if (simd_target().starts_with("S")) GTEST_SKIP() << "no fused multiply-adds";
  std::vector<float> x;
  for (const float each : samples_of_every_binade()) {
    if (std::abs(each) > 0x1p-20F && std::abs(each) < 0x1p80F) x.push_back(each);
  }
  const std::vector<float> ones(x.size(), 1.0F);
  std::vector<float> y(x.size());
  for (const UnitInfo& info : activation_infos()) {
    const Activation f = parse_activation(info.name);
    std::feclearexcept(FE_ALL_EXCEPT);
    activation_forward(y.data(), x.data(), x.size(), f);
    EXPECT_EQ(std::fetestexcept(FE_UNDERFLOW), 0) << info.name;
    activation_backward(y.data(), ones.data(), x.data(), x.size(), f);
    EXPECT_EQ(std::fetestexcept(FE_UNDERFLOW), 0) << info.name << "'";
  }
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

// Exactly 3.40282349e38, which is nearer to the largest float than to 2^128.
TEST(Accuracy, SeluNextToOverflow) {
  on_every_target([] {
    const float x[] = {3.23862215e38F, 3.3e38F, kInf};
    float y[3];
    activation_forward(y, x, 3, Activation::selu);
    EXPECT_EQ(y[0], std::numeric_limits<float>::max());
    EXPECT_EQ(y[1], kInf);
    EXPECT_EQ(y[2], kInf);
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
