// The kernels of layer_units.hpp for double: plain loops.
#include <cmath>

#include "activations_double.hpp"
#include "sluice/kernels/layer_units.hpp"

namespace sluice::kernels {

void prelu_forward(const LearnedForward<double>& p, std::size_t rows, std::size_t n) {
  for (std::size_t i = 0; i < rows * n; ++i) {
    p.y[i] = p.x[i] > 0 ? p.x[i] : p.parameter[i % n] * p.x[i];
  }
}

void prelu_backward(const LearnedBackward<double>& p, std::size_t rows, std::size_t n) {
  for (std::size_t i = 0; i < rows * n; ++i) {
    const double at = p.x[i], gradient = p.dy[i];
    const double slope = std::isnan(at) ? at : (at > 0 ? 1.0 : p.parameter[i % n]);
    p.dx[i] = gradient * slope;
    if (p.dparameter != nullptr) p.dparameter[i % n] += gradient * (at > 0 ? 0.0 : at);
  }
}

void swish_forward(const LearnedForward<double>& p, std::size_t rows, std::size_t n) {
  for (std::size_t i = 0; i < rows * n; ++i) {
    p.y[i] = silu_double(p.x[i], p.parameter[i % n]).value;
  }
}

void swish_backward(const LearnedBackward<double>& p, std::size_t rows, std::size_t n) {
  for (std::size_t i = 0; i < rows * n; ++i) {
    const double beta = p.parameter[i % n], at = p.x[i], t = beta * at, gradient = p.dy[i];
    p.dx[i] = gradient * silu_double(at, beta).slope;
    if (p.dparameter != nullptr) {
      p.dparameter[i % n] += gradient * damped(damped(at, logistic(t)) * at, logistic(-t));
    }
  }
}

void rrelu(double* y, const double* v, const double* x, std::size_t n, const RandomSlopes& slopes,
           Traffic /*traffic*/) {
  const auto least = static_cast<double>(slopes.lower);
  const double spread = static_cast<double>(slopes.upper) - least;
  for (std::size_t i = 0; i < n; ++i) {
    const double drawn = static_cast<double>(slopes.key.uniform(slopes.offset + i));
    y[i] = v[i] * (std::isnan(x[i]) ? x[i] : (x[i] > 0 ? 1.0 : least + spread * drawn));
  }
}

namespace {

// The first block that is greatest, or the first that is NaN.
std::size_t greatest(const double* z, std::size_t n, std::size_t k) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < k; ++i) {
    const double next = z[i * n], leader = z[best * n];
    if (next > leader || (std::isnan(next) && !std::isnan(leader))) best = i;
  }
  return best;
}

}  // namespace

void maxout_forward(double* y, const double* z, const MaxoutShape& shape, Traffic /*traffic*/) {
  const auto [rows, n, k] = shape;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < n; ++j) {
      const double* const at = z + r * k * n + j;
      y[r * n + j] = at[greatest(at, n, k) * n];
    }
  }
}

void maxout_backward(double* dz, const double* dy, const double* z, const MaxoutShape& shape,
                     Traffic /*traffic*/) {
  const auto [rows, n, k] = shape;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < n; ++j) {
      const std::size_t first = r * k * n + j, winner = greatest(z + first, n, k);
      for (std::size_t i = 0; i < k; ++i) dz[first + i * n] = i == winner ? dy[r * n + j] : 0.0;
    }
  }
}

}  // namespace sluice::kernels
