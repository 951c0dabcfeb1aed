#pragma once
// The activations for double, as sluice/kernels/units.hpp states them: the reference that float
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

inline DualDouble silu_double(double x) {
  const double s = logistic(x);
  return {damped(x, s), s + damped(damped(x, s), logistic(-x))};
}

inline DualDouble gelu_tanh_double(double x) {
  const double c = 2.0 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  const double w = x * (c + c * 0.044715 * x * x);
  const double s = logistic(w);
  const double growth = c + 3.0 * c * 0.044715 * x * x;
  return {damped(x, s), s + damped(damped(x * growth, s), logistic(-w))};
}

/// f(x) and f'(x) of any activation.
inline DualDouble derive_double(Activation f, double x) {
  switch (f) {
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
      return silu_double(x);
    case Activation::identity:
      break;
  }
  return {x, 1.0};
}

}  // namespace sluice::kernels
