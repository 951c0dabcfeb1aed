#pragma once
// Activations, gates, dropout and other elementwise kernels. One thread, contiguous spans,
// outputs first. float kernels are Highway with run-time dispatch; double ones are plain loops
// (they exist for gradient tests). Gradients of inputs are written (=), gradients of parameters
// are accumulated (+=). NaN in gives NaN out at that place only. Parameters of units are taken as
// they are: check_unit() refuses those out of range.

#include <cstddef>
#include <cstdint>

#include "sluice/base/random.hpp"
#include "sluice/kernels/units.hpp"

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

/// y[i] = e^x[i], at most 4 ULP from float64 on every SIMD target; results below 2^-126 are 0. y
/// may be x.
void exponential(float* y, const float* x, std::size_t n);
void exponential(double* y, const double* x, std::size_t n);

/// The fused end of a projection, row by row:
///   y[r, j] = (unit(z[r] + bias)[j] + residual[r, j]) · scale
/// z is [rows, unit.inputs(n)] with row pitch z_pitch; bias [unit.inputs(n)] or null; residual
/// [rows, n] or null; y [rows, n]. y may be residual.
void unit_forward(float* y, const float* z, std::size_t z_pitch, const float* bias,
                  const float* residual, float scale, std::size_t rows, std::size_t n,
                  const Unit& unit);
void unit_forward(double* y, const double* z, std::size_t z_pitch, const double* bias,
                  const double* residual, double scale, std::size_t rows, std::size_t n,
                  const Unit& unit);

/// Its gradient: dz[r] = scale · dy[r] · ∂unit/∂z at z[r] + bias, dbias += Σ_r dz[r].
/// dz has row pitch dz_pitch and may be z; dbias [unit.inputs(n)] or null. (The residual's
/// gradient is scale · dy, which is `scale_into`.)
void unit_backward(float* dz, std::size_t dz_pitch, float* dbias, const float* dy, const float* z,
                   std::size_t z_pitch, const float* bias, float scale, std::size_t rows,
                   std::size_t n, const Unit& unit);
void unit_backward(double* dz, std::size_t dz_pitch, double* dbias, const double* dy,
                   const double* z, std::size_t z_pitch, const double* bias, double scale,
                   std::size_t rows, std::size_t n, const Unit& unit);

/// y[i] = a · x[i];  y[i] += a · x[i].
void scale_into(float* y, const float* x, float a, std::size_t n);
void scale_into(double* y, const double* x, double a, std::size_t n);
void add_scaled(float* y, const float* x, float a, std::size_t n);
void add_scaled(double* y, const double* x, double a, std::size_t n);

/// out[j] += Σ_r x[r, j], x [rows, n] contiguous.
void column_sums(float* out, const float* x, std::size_t rows, std::size_t n);
void column_sums(double* out, const double* x, std::size_t rows, std::size_t n);

/// Σ x[i]², accumulated in double over fixed blocks of the span (the result does not depend on the
/// SIMD width).
double sum_of_squares(const float* x, std::size_t n);
double sum_of_squares(const double* x, std::size_t n);

/// Inverted dropout: y[i] = keep(offset + i) ? x[i] / (1 - p) : 0, where keep(j) is true when
/// key.bits(j) is at least p·2³². The same call on dy gives dx. 0 <= p < 1. y may be x.
void dropout(float* y, const float* x, std::size_t n, float p, const RandomKey& key,
             std::uint64_t offset);
void dropout(double* y, const double* x, std::size_t n, float p, const RandomKey& key,
             std::uint64_t offset);

/// bfloat16 storage: round to nearest even (NaN stays NaN), and back.
void to_bfloat16(std::uint16_t* y, const float* x, std::size_t n);
void from_bfloat16(float* y, const std::uint16_t* x, std::size_t n);

}  // namespace sluice::kernels
