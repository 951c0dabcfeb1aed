// Units for double: plain loops.
#include "activations_double.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "unit_list.hpp"

namespace sluice::kernels {
namespace {

// Element j of row r of the projection, with its bias.
template <class Pass>
double biased(const Pass& pass, std::size_t r, std::size_t j) {
  return pass.z[r * pass.z_pitch + j] + (pass.bias != nullptr ? pass.bias[j] : 0.0);
}

}  // namespace

void activation_forward(double* y, const double* x, std::size_t n, Activation f,
                        const ActivationParameters& parameters) {
  for (std::size_t i = 0; i < n; ++i) y[i] = derive_double(f, parameters, x[i]).value;
}

void activation_backward(double* dx, const double* dy, const double* x, std::size_t n, Activation f,
                         const ActivationParameters& parameters) {
  for (std::size_t i = 0; i < n; ++i) dx[i] = dy[i] * derive_double(f, parameters, x[i]).slope;
}

void unit_forward(const UnitForward<double>& pass, std::size_t rows, std::size_t n,
                  const Unit& unit) {
  require_kernel(unit);
  const auto input = [&](std::size_t r, std::size_t j) { return biased(pass, r, j); };
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < n; ++j) {
      double value = derive_double(unit.f, unit.f_parameters, input(r, j)).value;
      if (unit.gated) value *= derive_double(unit.g, unit.g_parameters, input(r, n + j)).value;
      if (pass.residual != nullptr) value += pass.residual[r * n + j];
      pass.y[r * n + j] = value * pass.scale;
    }
  }
}

void unit_backward(const UnitBackward<double>& pass, std::size_t rows, std::size_t n,
                   const Unit& unit) {
  require_kernel(unit);
  const auto input = [&](std::size_t r, std::size_t j) { return biased(pass, r, j); };
  const auto put = [&](std::size_t r, std::size_t j, double gradient) {
    pass.dz[r * pass.dz_pitch + j] = gradient;
    if (pass.dbias != nullptr) pass.dbias[j] += gradient;
  };
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < n; ++j) {
      const double gradient = pass.dy[r * n + j] * pass.scale;
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

}  // namespace sluice::kernels
