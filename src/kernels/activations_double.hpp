#pragma once
// The activations for double, as unit_list.hpp states them: the reference that float
// kernels are held against, and what gradient tests run on.

#include <cmath>
#include <numbers>

#include "sluice/kernels/units.hpp"

namespace sluice::kernels {

/// f(x) and f'(x).
struct DualDouble {
  double value, slope;
};

/// σ(x), accurate in both tails.
inline double logistic(double x) {
  const double e = std::exp(-std::abs(x));
  return (x < 0 ? e : 1.0) / (1.0 + e);
}

// x · factor, where a factor that has vanished wins over an infinite x.
inline double damped(double x, double factor) { return factor == 0.0 ? 0.0 * factor : x * factor; }

inline DualDouble sigmoid_double(double x) {
  const double s = logistic(x);
  return {s, s * logistic(-x)};
}

inline DualDouble tanh_double(double x) {
  const double s = logistic(-2.0 * std::abs(x));
  return {std::tanh(x), 4.0 * s * (1.0 - s)};
}

inline DualDouble relu_double(double x) {
  if (std::isnan(x)) return {x, x};
  return {x < 0 ? 0.0 : x, x > 0 ? 1.0 : 0.0};
}

inline DualDouble gelu_double(double x) {
  const double phi = 0.5 * std::erfc(-x / std::numbers::sqrt2);
  const double density = std::exp(-0.5 * x * x) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
  return {damped(x, phi), phi + damped(x, density)};
}

inline DualDouble silu_double(double x, double beta) {
  const double s = logistic(beta * x);
  return {damped(x, s), s + damped(damped(beta * x, s), logistic(-beta * x))};
}

inline DualDouble gelu_tanh_double(double x) {
  const double c = 2.0 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  const double w = x * (c + c * 0.044715 * x * x);
  const double s = logistic(w);
  const double growth = c + 3.0 * c * 0.044715 * x * x;
  return {damped(x, s), s + damped(damped(x * growth, s), logistic(-w))};
}

/// 0 or the given slope, or NaN where x is.
inline double slope_where(bool active, double x, double slope = 1.0) {
  return std::isnan(x) ? x : (active ? slope : 0.0);
}

/// x within [least, most].
inline DualDouble clamp_double(double x, double least, double most) {
  const double value = x < least ? least : (x > most ? most : x);
  return {value, slope_where(x > least && x < most, x)};
}

inline DualDouble hardswish_double(double x) {
  if (x <= -3) return {-0.0, 0.0};
  if (x >= 3) return {x, 1.0};
  return {x * (x + 3) / 6, (2 * x + 3) / 6};
}

inline DualDouble logsigmoid_double(double x) {
  return {(x > 0 ? 0.0 : x) - std::log1p(std::exp(-std::abs(x))), logistic(-x)};
}

inline DualDouble softplus_double(double x, double beta, double threshold) {
  const double t = beta * x;
  if (t > threshold) return {x, 1.0};
  return {((t < 0 ? 0.0 : t) + std::log1p(std::exp(-std::abs(t)))) / beta, logistic(t)};
}

inline DualDouble tanhshrink_double(double x) {
  const double t = std::tanh(x);
  if (!(std::abs(x) < 0.03)) return {x - t, t * t};
  // The difference cancels: Taylor's series.
  const double u = x * x;
  const double q = 1.0 / 3 - u * (2.0 / 15 - u * (17.0 / 315 - u * (62.0 / 2835)));
  return {x * u * q, t * t};
}

inline DualDouble softsign_double(double x) {
  const double scale = 1.0 + std::abs(x);
  return {std::isinf(x) ? std::copysign(1.0, x) : x / scale, 1.0 / (scale * scale)};
}

/// x for x > 0, else α (e^(x/ν) - 1).
inline DualDouble exponential_unit_double(double x, double alpha, double nu) {
  if (x > 0) return {x, 1.0};
  return {alpha * std::expm1(x / nu), alpha / nu * std::exp(x / nu)};
}

inline DualDouble selu_double(double x) {
  const DualDouble y = exponential_unit_double(x, 1.6732632423543772848170429916717, 1.0);
  constexpr double scale = 1.0507009873554804934193349852946;
  return {scale * y.value, scale * y.slope};
}

inline DualDouble mish_double(double x) {
  // tanh(log(1 + e^x)) is t / (t + 2) with t = e^x (e^x + 2).
  const double e = std::exp(-std::abs(x));
  const double ratio =
      x < 0 ? e * (e + 2) / (e * (e + 2) + 2) : (1 + 2 * e) / (1 + 2 * e + 2 * e * e);
  return {damped(x, ratio), ratio + damped(damped(x, logistic(x)), (1 - ratio) * (1 + ratio))};
}

inline DualDouble softshrink_double(double x, double lambda) {
  if (std::abs(x) <= lambda) return {0.0, 0.0};
  return {x - std::copysign(lambda, x), slope_where(true, x)};
}

inline DualDouble squared_relu_double(double x) {
  const double kept = x < 0 ? 0.0 : x;
  return {kept * kept, 2 * kept};
}

/// f(x) and f'(x) of any activation.
inline DualDouble derive_double(Activation f, const ActivationParameters& parameters, double x) {
  const auto first = static_cast<double>(parameters[0]);
  const auto second = static_cast<double>(parameters[1]);
  switch (f) {
    case Activation::identity:
      return {x, 1.0};
    case Activation::sigmoid:
      return sigmoid_double(x);
    case Activation::tanh:
      return tanh_double(x);
    case Activation::relu:
      return relu_double(x);
    case Activation::gelu:
      return gelu_double(x);
    case Activation::gelu_tanh:
      return gelu_tanh_double(x);
    case Activation::silu:
      return silu_double(x, first);
    case Activation::hardsigmoid: {
      // A sixth, which float32 does not hold, is meant where its neighbour is given.
      const double slope = parameters[0] == 1.0F / 6.0F ? 1.0 / 6 : first;
      const DualDouble ramp = clamp_double(x + second / slope, 0, 1 / slope);
      return {ramp.value * slope, ramp.slope * slope};
    }
    case Activation::logsigmoid:
      return logsigmoid_double(x);
    case Activation::hardtanh:
      return clamp_double(x, first, second);
    case Activation::tanhshrink:
      return tanhshrink_double(x);
    case Activation::softsign:
      return softsign_double(x);
    case Activation::softplus:
      return softplus_double(x, first, second);
    case Activation::relu6:
      return clamp_double(x, 0, first);
    case Activation::leaky_relu:
      return {x > 0 ? x : first * x, std::isnan(x) ? x : (x > 0 ? 1.0 : first)};
    case Activation::elu:
      return exponential_unit_double(x, first, 1.0);
    case Activation::celu:
      return exponential_unit_double(x, first, first);
    case Activation::selu:
      return selu_double(x);
    case Activation::mish:
      return mish_double(x);
    case Activation::hardswish:
      return hardswish_double(x);
    case Activation::softshrink:
      return softshrink_double(x, first);
    case Activation::hardshrink:
      return {std::abs(x) <= first ? 0.0 : x, slope_where(!(std::abs(x) <= first), x)};
    case Activation::threshold:
      return {x <= first ? second : x, slope_where(!(x <= first), x)};
    case Activation::squared_relu:
      return squared_relu_double(x);
    case Activation::penalized_tanh: {
      const DualDouble t = tanh_double(x);
      const double factor = x > 0 ? 1.0 : first;
      return {factor * t.value, factor * t.slope};
    }
  }
  return {x, 1.0};
}

}  // namespace sluice::kernels
