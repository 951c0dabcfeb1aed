#pragma once
// Sums, products and e^x of contiguous spans. One thread, no allocation,
// outputs first. float kernels are Highway with run-time dispatch; double ones are plain loops
// (they exist for gradient tests). NaN in gives NaN out at that place only.

#include <cstddef>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// y[i] = e^x[i], at most 4 ULP from float64 on every SIMD target; results below 2^-126 are 0. y
/// may be x.
void exponential(float* y, const float* x, std::size_t n);
void exponential(double* y, const double* x, std::size_t n);

/// y[i] = a · x[i];  y[i] += a · x[i].
void scale_into(float* y, const float* x, float a, std::size_t n);
void scale_into(double* y, const double* x, double a, std::size_t n);
void add_scaled(float* y, const float* x, float a, std::size_t n);
void add_scaled(double* y, const double* x, double a, std::size_t n);

/// y[i] = x[i] + a. y may be x.
void add_constant(float* y, const float* x, float a, std::size_t n);
void add_constant(double* y, const double* x, double a, std::size_t n);

/// x[i] becomes the nearest number in [-bound, bound], bound >= 0; NaN stays.
void clamp(float* x, float bound, std::size_t n);
void clamp(double* x, double bound, std::size_t n);

/// Σ x[i] y[i] in eight sums, element i in sum i mod 8, but those behind the last whole eight in
/// the first.
double inner_product(const double* x, const double* y, std::size_t n);

/// out[j] += Σ_r x[r, j], x [rows, n] contiguous.
void column_sums(float* out, const float* x, std::size_t rows, std::size_t n);
void column_sums(double* out, const double* x, std::size_t rows, std::size_t n);

/// Σ x[i]², accumulated in double over fixed blocks of the span (the result does not depend on the
/// SIMD width).
double sum_of_squares(const float* x, std::size_t n);
double sum_of_squares(const double* x, std::size_t n);

/// Whether none of x is an infinity or NaN.
bool all_finite(const float* x, std::size_t n);
bool all_finite(const double* x, std::size_t n);

}  // namespace sluice::kernels
SLUICE_API_END
