// The elementwise kernels for double: plain loops.
#include <array>
#include <cmath>

#include "activations_double.hpp"
#include "reduce.hpp"
#include "sluice/base/random.hpp"
#include "sluice/kernels/elementwise.hpp"
#include "unit_list.hpp"

namespace sluice::kernels {

void exponential(double* y, const double* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = std::exp(x[i]);
}

void activation_forward(double* y, const double* x, std::size_t n, Activation f,
                        const ActivationParameters& parameters) {
  for (std::size_t i = 0; i < n; ++i) y[i] = derive_double(f, parameters, x[i]).value;
}

void activation_backward(double* dx, const double* dy, const double* x, std::size_t n, Activation f,
                         const ActivationParameters& parameters) {
  for (std::size_t i = 0; i < n; ++i) dx[i] = dy[i] * derive_double(f, parameters, x[i]).slope;
}

void unit_forward(double* y, const double* z, std::size_t z_pitch, const double* bias,
                  const double* residual, double scale, std::size_t rows, std::size_t n,
                  const Unit& unit) {
  require_kernel(unit);
  const auto input = [&](std::size_t r, std::size_t j) {
    return z[r * z_pitch + j] + (bias != nullptr ? bias[j] : 0.0);
  };
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < n; ++j) {
      double value = derive_double(unit.f, unit.f_parameters, input(r, j)).value;
      if (unit.gated) value *= derive_double(unit.g, unit.g_parameters, input(r, n + j)).value;
      if (residual != nullptr) value += residual[r * n + j];
      y[r * n + j] = value * scale;
    }
  }
}

void unit_backward(double* dz, std::size_t dz_pitch, double* dbias, const double* dy,
                   const double* z, std::size_t z_pitch, const double* bias, double scale,
                   std::size_t rows, std::size_t n, const Unit& unit) {
  require_kernel(unit);
  const auto input = [&](std::size_t r, std::size_t j) {
    return z[r * z_pitch + j] + (bias != nullptr ? bias[j] : 0.0);
  };
  const auto put = [&](std::size_t r, std::size_t j, double gradient) {
    dz[r * dz_pitch + j] = gradient;
    if (dbias != nullptr) dbias[j] += gradient;
  };
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < n; ++j) {
      const double gradient = dy[r * n + j] * scale;
      const DualDouble first = derive_double(unit.f, unit.f_parameters, input(r, j));
      if (unit.gated) {
        const DualDouble second = derive_double(unit.g, unit.g_parameters, input(r, n + j));
        put(r, j, gradient * first.slope * second.value);
        put(r, n + j, gradient * first.value * second.slope);
      } else {
        put(r, j, gradient * first.slope);
      }
    }
  }
}

void scale_into(double* y, const double* x, double a, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = a * x[i];
}

void add_scaled(double* y, const double* x, double a, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] += a * x[i];
}

void column_sums(double* out, const double* x, std::size_t rows, std::size_t n) {
  for (std::size_t r = 0; r < rows; ++r) add_scaled(out, x + r * n, 1.0, n);
}

double sum_of_squares(const double* x, std::size_t n) {
  std::array<double, kSquareSums> sums{};
  for (std::size_t i = 0; i < n; ++i) sums[i % kSquareSums] += x[i] * x[i];
  return total(sums);
}

void dropout(double* y, const double* x, std::size_t n, float p, const RandomKey& key,
             std::uint64_t offset) {
  const double threshold = static_cast<double>(p) * 0x1p32;
  const double keep = 1.0 - static_cast<double>(p);
  for (std::size_t i = 0; i < n; ++i) {
    y[i] = key.bits(offset + i) >= threshold ? x[i] / keep : 0.0;
  }
}

}  // namespace sluice::kernels
