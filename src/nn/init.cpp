#include "sluice/nn/init.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/random.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/orthonormal.hpp"
#include "sluice/tensor/detail/rearrange.hpp"

namespace sluice {
namespace {

// Step numbers of a run's random sequences count from 0; those of the initialisers' parts from the
// other end.
constexpr std::uint32_t kInitStep = 0xFFFFFFFF;

struct Gain {
  const char* name;
  double gain;
};

double leaky_gain(double slope) { return std::sqrt(2.0 / (1.0 + slope * slope)); }

const std::vector<Gain>& gains() {
  static const std::vector<Gain> table = {
      {"linear", 1.0},
      {"identity", 1.0},
      {"conv1d", 1.0},
      {"conv2d", 1.0},
      {"conv3d", 1.0},
      {"sigmoid", 1.0},
      {"tanh", 5.0 / 3.0},
      {"relu", std::sqrt(2.0)},
      {"selu", 0.75},
      {"relu6", std::sqrt(2.0)},
      {"gelu", std::sqrt(2.0)},
      {"gelu_tanh", std::sqrt(2.0)},
      {"silu", std::sqrt(2.0)},
      {"mish", std::sqrt(2.0)},
      {"hardswish", std::sqrt(2.0)},
      {"elu", std::sqrt(2.0)},
      {"celu", std::sqrt(2.0)},
      {"prelu", leaky_gain(0.25)},
      {"rrelu", leaky_gain(11.0 / 48.0)},
  };
  return table;
}

std::optional<double> known_gain(std::string_view name, double slope) {
  if (name == "leaky_relu") return leaky_gain(slope);
  for (const Gain& entry : gains()) {
    if (name == entry.name) return entry.gain;
  }
  return std::nullopt;
}

double activation_gain(Activation f, const ActivationParameters& parameters) {
  return known_gain(activation_name(f), static_cast<double>(parameters[0])).value_or(1.0);
}

// Element i is draw(random, i); zeros without a seed.
template <class Draw>
Tensor drawn(Shape shape, DType dtype, InitKey key, const Draw& draw) {
  if (!key.seed) return Tensor::zeros(shape, dtype);
  const RandomKey random{*key.seed, key.stream, kInitStep - key.part};
  return generated(shape, dtype, [&](std::uint64_t i) { return draw(random, i); });
}

double at_least_1(std::int64_t fan) { return static_cast<double>(std::max<std::int64_t>(fan, 1)); }

double kaiming_deviation(Fans fans, FanMode mode, double gain) {
  return gain / std::sqrt(at_least_1(mode == FanMode::in ? fans.in : fans.out));
}

double xavier_deviation(Fans fans, double gain) {
  return gain * std::sqrt(2.0 / at_least_1(fans.in + fans.out));
}

// Uniform variates of mean 0 and the given deviation.
Tensor centred_uniform(Shape shape, DType dtype, double deviation, InitKey key) {
  const double bound = std::sqrt(3.0) * deviation;
  return uniform(shape, dtype, -bound, bound, key);
}

// Σ c[i] xⁱ.
template <std::size_t N>
double polynomial(const double (&c)[N], double x) {
  double y = c[N - 1];
  for (std::size_t i = N - 1; i-- > 0;) y = y * x + c[i];
  return y;
}

// The quantile of the standard normal distribution, relative error 1e-16 (Wichura 1988, algorithm
// AS 241, PPND16).
double normal_quantile(double p) {
  constexpr double a[] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                          1.9715909503065514427e+3, 1.3731693765509461125e+4,
                          4.5921953931549871457e+4, 6.7265770927008700853e+4,
                          3.3430575583588128105e+4, 2.5090809287301226727e+3};
  constexpr double b[] = {1.0,
                          4.2313330701600911252e+1,
                          6.8718700749205790830e+2,
                          5.3941960214247511077e+3,
                          2.1213794301586595867e+4,
                          3.9307895800092710610e+4,
                          2.8729085735721942674e+4,
                          5.2264952788528545610e+3};
  constexpr double c[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                          5.76949722146069140550e0,  3.64784832476320460504e0,
                          1.27045825245236838258e0,  2.41780725177450611770e-1,
                          2.27238449892691845833e-2, 7.74545014278341407640e-4};
  constexpr double d[] = {1.0,
                          2.05319162663775882187e0,
                          1.67638483018380384940e0,
                          6.89767334985100004550e-1,
                          1.48103976427480074590e-1,
                          1.51986665636164571966e-2,
                          5.47593808499534494600e-4,
                          1.05075007164441684324e-9};
  constexpr double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                          1.78482653991729133580e0,  2.96560571828504891230e-1,
                          2.65321895265761230930e-2, 1.24266094738807843860e-3,
                          2.71155556874348757815e-5, 2.01033439929228813265e-7};
  constexpr double f[] = {1.0,
                          5.99832206555887937690e-1,
                          1.36929880922735805310e-1,
                          1.48753612908506148525e-2,
                          7.86869131145613259100e-4,
                          1.84631831751005468180e-5,
                          1.42151175831644588870e-7,
                          2.04426310338993978564e-15};
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(a, r) / polynomial(b, r);
  }
  const double r = std::sqrt(-std::log(q < 0 ? p : 1.0 - p));
  const double x = r <= 5.0 ? polynomial(c, r - 1.6) / polynomial(d, r - 1.6)
                            : polynomial(e, r - 5.0) / polynomial(f, r - 5.0);
  return q < 0 ? -x : x;
}

double normal_distribution(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

}  // namespace

Tensor normal(Shape shape, DType dtype, double deviation, InitKey key) {
  return drawn(shape, dtype, key, [=](const RandomKey& random, std::uint64_t i) {
    return deviation * random.normal(i);
  });
}

Tensor uniform(Shape shape, DType dtype, double low, double high, InitKey key) {
  return drawn(shape, dtype, key, [=](const RandomKey& random, std::uint64_t i) {
    return low + (high - low) * random.uniform_double(i);
  });
}

Tensor constant(Shape shape, DType dtype, double value) { return filled(shape, dtype, value); }

Fans fans_of(const Shape& shape) {
  if (shape.rank() < 2) {
    throw Error(fmt::format("fans_of: a weight [N, C, ...] is needed, got shape {}", shape.str()));
  }
  std::int64_t field = 1;
  for (int i = 2; i < shape.rank(); ++i) field *= shape[i];
  return {shape[1] * field, shape[0] * field};
}

double calculate_gain(std::string_view activation, double slope) {
  if (const auto gain = known_gain(activation, slope)) return *gain;
  std::vector<std::string> known = {"leaky_relu"};
  for (const Gain& entry : gains()) known.emplace_back(entry.name);
  const std::string near = nearest_names(activation, known);
  throw UsageError(fmt::format("calculate_gain: no gain is known for '{}'{}", activation,
                               near.empty() ? "" : fmt::format("; did you mean {}?", near)));
}

double unit_gain(const Unit& unit) {
  const double f = activation_gain(unit.f, unit.f_parameters);
  if (!unit.gated) return f;
  const double g = activation_gain(unit.g, unit.g_parameters);
  const bool sigmoid_gate = unit.f == Activation::sigmoid || unit.g == Activation::sigmoid;
  if (!sigmoid_gate) return std::sqrt(f * g);
  // σ of a centred variate is near ½, so the other factor must be twice as large.
  const bool second = unit.g == Activation::sigmoid;
  return 2.0 * ((second ? unit.f : unit.g) == Activation::tanh ? 1.0 : second ? f : g);
}

Tensor kaiming_normal(Shape shape, DType dtype, std::int64_t fan_in, const Unit& unit,
                      InitKey key) {
  return kaiming_normal(shape, dtype, Fans{fan_in, 1}, FanMode::in, unit_gain(unit), key);
}

Tensor kaiming_normal(Shape shape, DType dtype, Fans fans, FanMode mode, double gain, InitKey key) {
  return normal(shape, dtype, kaiming_deviation(fans, mode, gain), key);
}

Tensor kaiming_uniform(Shape shape, DType dtype, Fans fans, FanMode mode, double gain,
                       InitKey key) {
  return centred_uniform(shape, dtype, kaiming_deviation(fans, mode, gain), key);
}

Tensor xavier_normal(Shape shape, DType dtype, Fans fans, double gain, InitKey key) {
  return normal(shape, dtype, xavier_deviation(fans, gain), key);
}

Tensor xavier_uniform(Shape shape, DType dtype, Fans fans, double gain, InitKey key) {
  return centred_uniform(shape, dtype, xavier_deviation(fans, gain), key);
}

Tensor orthogonal(Shape shape, DType dtype, double gain, InitKey key) {
  if (shape.rank() < 2) {
    throw Error(
        fmt::format("orthogonal: at least two dimensions are needed, got shape {}", shape.str()));
  }
  if (!key.seed || shape.elements() == 0) return Tensor::zeros(shape, dtype);
  const std::int64_t rows = shape[0], columns = shape.elements() / rows;
  const bool wide = columns > rows;
  // The orthonormal vectors, one a row: rows of the result when it is wide, else its columns.
  const std::int64_t length = std::max(rows, columns);
  const Tensor v = normal(Shape{std::min(rows, columns), length}, DType::f64, 1.0, key);
  orthonormalise(v);
  const Tensor x = wide ? v : swap_outer(v.reshape(Shape{columns, 1, length}));
  return scaled(x, gain).to(dtype).reshape(shape);
}

Tensor truncated_normal(Shape shape, DType dtype, const TruncatedNormal& distribution,
                        InitKey key) {
  const double mean = distribution.mean, deviation = distribution.deviation;
  const double low = distribution.low, high = distribution.high;
  if (!(deviation > 0) || !(low < high)) {
    throw UsageError(fmt::format(
        "truncated_normal: expected a deviation above 0 and low < high, got {}, {} and {}",
        deviation, low, high));
  }
  // Far up, the distribution function is too near 1 to tell values apart: mirror that tail.
  const bool mirror = low > mean;
  const double from = (mirror ? mean - high : low - mean) / deviation;
  const double to = (mirror ? mean - low : high - mean) / deviation;
  const double least = normal_distribution(from), most = normal_distribution(to);
  return drawn(shape, dtype, key, [=](const RandomKey& random, std::uint64_t i) {
    const double p = least + (most - least) * random.uniform_double(i);
    const double z = std::clamp(normal_quantile(p), from, to);
    return std::clamp(mean + (mirror ? -z : z) * deviation, low, high);
  });
}

}  // namespace sluice
