#pragma once
// Softmax and its relatives, row by row. One thread, no allocation.

#include <cstddef>
#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/kernels/traffic.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// Over each row of x [rows, n]:
///   softmax      y = e^x / Σ e^x        dx = y (dy - Σ dy y)
///   log_softmax  y = x - log Σ e^x      dx = dy - e^y Σ dy
///   softmin      y = e^-x / Σ e^-x      dx = -y (dy - Σ dy y)
/// (Bridle 1990), computed from the differences to the row's largest (softmin: smallest) element,
/// so that no finite x overflows. -Inf (softmin: Inf) gives probability 0, e^y of -Inf; a row of
/// nothing else, and a row with NaN or the other infinity, is NaN throughout, as in PyTorch.
/// Float results are within 2e-6 (1 + |y|) of float64's for log_softmax, and 5e-6 y for softmax and
/// softmin (the rounding of a difference as large as 69), which are 0 below e^-69 times the row's
/// largest.
enum class SoftmaxKind : std::uint8_t { softmax, log_softmax, softmin };

/// What is done with so many rows of n elements.
struct SoftmaxRows {
  std::size_t rows, n;
  SoftmaxKind kind = SoftmaxKind::softmax;
  Traffic traffic = Traffic::cached;
};

/// y of x; y may be x.
void softmax_forward(float* y, const float* x, const SoftmaxRows& what);
void softmax_forward(double* y, const double* x, const SoftmaxRows& what);

/// dx from dy and the output y; dx may be dy.
void softmax_backward(float* dx, const float* dy, const float* y, const SoftmaxRows& what);
void softmax_backward(double* dx, const double* dy, const double* y, const SoftmaxRows& what);

}  // namespace sluice::kernels
SLUICE_API_END
