#pragma once
// Softmax and its cross-entropy, row by row. One thread, no allocation.

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {

/// logits[r] becomes log-softmax(logits[r]) in place; rows of n with pitch n. -Inf logits give
/// -Inf; a row of only -Inf gives NaN.
void log_softmax(float* logits, std::size_t rows, std::size_t n);
void log_softmax(double* logits, std::size_t rows, std::size_t n);

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

/// y [rows, n] of x; y may be x. `past_caches`: they do not stay in the caches; x is fetched ahead,
/// and y written past them where that can be (streaming.hpp).
void softmax_forward(float* y, const float* x, std::size_t rows, std::size_t n, SoftmaxKind kind,
                     bool past_caches = false);
void softmax_forward(double* y, const double* x, std::size_t rows, std::size_t n, SoftmaxKind kind,
                     bool past_caches = false);

/// dx from dy and the output y; dx may be dy. `past_caches` as above.
void softmax_backward(float* dx, const float* dy, const float* y, std::size_t rows, std::size_t n,
                      SoftmaxKind kind, bool past_caches = false);
void softmax_backward(double* dx, const double* dy, const double* y, std::size_t rows,
                      std::size_t n, SoftmaxKind kind, bool past_caches = false);

/// Softmax cross-entropy: nll[r] = logsumexp(logits[r]) - logits[r, target[r]].
/// When `gradient_scale` is not 0, logits[r] is replaced in place by
///   gradient_scale · (softmax(logits[r]) - onehot(target[r])),
/// else logits are left as they are. `bias` [n] or null is added to each row first (and the sum is
/// what the formulas call logits). nll is accumulated: nll[r] += ... (callers zero it; adaptive
/// softmax adds head and tail).
void softmax_cross_entropy(float* nll, float* logits, const float* bias, const std::int32_t* target,
                           float gradient_scale, std::size_t rows, std::size_t n);
void softmax_cross_entropy(double* nll, double* logits, const double* bias,
                           const std::int32_t* target, double gradient_scale, std::size_t rows,
                           std::size_t n);

}  // namespace sluice::kernels
