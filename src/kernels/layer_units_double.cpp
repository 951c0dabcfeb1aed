// The kernels of layer_units.hpp for double: plain loops.
#include <cmath>

#include "activations_double.hpp"
#include "sluice/kernels/layer_units.hpp"

namespace sluice::kernels {

void prelu_forward(double* y, const double* x, const double* alpha, std::size_t rows,
                   std::size_t n) {
  for (std::size_t i = 0; i < rows * n; ++i) y[i] = x[i] > 0 ? x[i] : alpha[i % n] * x[i];
}

void prelu_backward(double* dx, double* dalpha, const double* dy, const double* x,
                    const double* alpha, std::size_t rows, std::size_t n) {
  for (std::size_t i = 0; i < rows * n; ++i) {
    const double at = x[i], gradient = dy[i];
    const double slope = std::isnan(at) ? at : (at > 0 ? 1.0 : alpha[i % n]);
    dx[i] = gradient * slope;
    if (dalpha != nullptr) dalpha[i % n] += gradient * (at > 0 ? 0.0 : at);
  }
}

void swish_forward(double* y, const double* x, const double* beta, std::size_t rows,
                   std::size_t n) {
  for (std::size_t i = 0; i < rows * n; ++i) y[i] = silu_double(x[i], beta[i % n]).value;
}

void swish_backward(double* dx, double* dbeta, const double* dy, const double* x,
                    const double* beta, std::size_t rows, std::size_t n) {
  for (std::size_t i = 0; i < rows * n; ++i) {
    const double at = x[i], t = beta[i % n] * at, gradient = dy[i];
    dx[i] = gradient * silu_double(at, beta[i % n]).slope;
    if (dbeta != nullptr) {
      dbeta[i % n] += gradient * damped(damped(at, logistic(t)) * at, logistic(-t));
    }
  }
}

void rrelu(double* y, const double* v, const double* x, std::size_t n, float lower, float upper,
           const RandomKey& key, std::uint64_t offset) {
  const auto least = static_cast<double>(lower);
  const double spread = static_cast<double>(upper) - least;
  for (std::size_t i = 0; i < n; ++i) {
    const double slope = least + spread * static_cast<double>(key.uniform(offset + i));
    y[i] = v[i] * (std::isnan(x[i]) ? x[i] : (x[i] > 0 ? 1.0 : slope));
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

void maxout_forward(double* y, const double* z, std::size_t rows, std::size_t n, std::size_t k) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < n; ++j) {
      const double* const at = z + r * k * n + j;
      y[r * n + j] = at[greatest(at, n, k) * n];
    }
  }
}

void maxout_backward(double* dz, const double* dy, const double* z, std::size_t rows, std::size_t n,
                     std::size_t k) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < n; ++j) {
      const std::size_t first = r * k * n + j, winner = greatest(z + first, n, k);
      for (std::size_t i = 0; i < k; ++i) dz[first + i * n] = i == winner ? dy[r * n + j] : 0.0;
    }
  }
}

}  // namespace sluice::kernels
