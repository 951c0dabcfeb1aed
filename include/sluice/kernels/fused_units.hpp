#pragma once
// Units: activations by themselves, and units fused with the end of the projection before them. One
// thread, outputs first. float kernels are Highway with run-time dispatch; double ones are plain
// loops (they exist for gradient tests). Gradients of inputs are written (=), those of biases are
// accumulated (+=). NaN in gives NaN out at that place only. Parameters of units are taken as they
// are: check_unit() refuses those out of range.

#include <cstddef>

#include "sluice/base/api.hpp"
#include "sluice/kernels/traffic.hpp"
#include "sluice/kernels/units.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// y[i] = f(x[i]). y may be x.
void activation_forward(float* y, const float* x, std::size_t n, Activation f,
                        const ActivationParameters& parameters);
void activation_forward(double* y, const double* x, std::size_t n, Activation f,
                        const ActivationParameters& parameters);

/// dx[i] = dy[i] · f'(x[i]). dx may be dy or x.
void activation_backward(float* dx, const float* dy, const float* x, std::size_t n, Activation f,
                         const ActivationParameters& parameters);
void activation_backward(double* dx, const double* dy, const double* x, std::size_t n, Activation f,
                         const ActivationParameters& parameters);

/// The same with the default parameters.
template <class T>
void activation_forward(T* y, const T* x, std::size_t n, Activation f) {
  activation_forward(y, x, n, f, default_parameters(f));
}
template <class T>
void activation_backward(T* dx, const T* dy, const T* x, std::size_t n, Activation f) {
  activation_backward(dx, dy, x, n, f, default_parameters(f));
}

/// The fused end of a projection, row by row:
///   y[r, j] = (unit(z[r] + bias)[j] + residual[r, j]) · scale
/// for r < rows and j < n: z [rows, unit.inputs(n)] with row pitch z_pitch; bias [unit.inputs(n)]
/// or null; residual [rows, n] or null; y [rows, n]. y may be residual. Throws UsageError for a
/// gate without a kernel.
template <class T>
struct UnitForward {
  T* y;
  const T* z;
  std::size_t z_pitch;
  const T* bias = nullptr;
  const T* residual = nullptr;
  T scale = 1;
  Traffic traffic = Traffic::cached;
};
void unit_forward(const UnitForward<float>& pass, std::size_t rows, std::size_t n,
                  const Unit& unit);
void unit_forward(const UnitForward<double>& pass, std::size_t rows, std::size_t n,
                  const Unit& unit);

/// Its gradient: dz[r] = scale · dy[r] · ∂unit/∂z at z[r] + bias, dbias += Σ_r dz[r].
/// dz has row pitch dz_pitch and may be z; dbias [unit.inputs(n)] or null. (The residual's
/// gradient is scale · dy, which is `scale_into`.)
template <class T>
struct UnitBackward {
  T* dz;
  std::size_t dz_pitch;
  T* dbias;
  const T* dy;
  const T* z;
  std::size_t z_pitch;
  const T* bias = nullptr;
  T scale = 1;
  Traffic traffic = Traffic::cached;
};
void unit_backward(const UnitBackward<float>& pass, std::size_t rows, std::size_t n,
                   const Unit& unit);
void unit_backward(const UnitBackward<double>& pass, std::size_t rows, std::size_t n,
                   const Unit& unit);

}  // namespace sluice::kernels
SLUICE_API_END
