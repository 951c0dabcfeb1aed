#pragma once
// Softmax and its cross-entropy, row by row. One thread, no allocation.

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {

/// logits[r] becomes log-softmax(logits[r]) in place; rows of n with pitch n. -Inf logits give
/// -Inf; a row of only -Inf gives NaN.
void log_softmax(float* logits, std::size_t rows, std::size_t n);
void log_softmax(double* logits, std::size_t rows, std::size_t n);

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
