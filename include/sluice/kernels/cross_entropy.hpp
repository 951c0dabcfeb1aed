#pragma once
// Softmax cross-entropy, row by row. One thread, no allocation.

#include <cstddef>
#include <cstdint>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// nll[r] += logsumexp(logits[r]) - logits[r, target[r]] (callers zero it; adaptive softmax adds
/// head and tail). When `gradient_scale` is not 0, logits[r] is replaced in place by
///   gradient_scale · (softmax(logits[r]) - onehot(target[r])),
/// else logits are left as they are. `bias` [n] or null is added to each row first (and the sum is
/// what the formulas call logits).
template <class T>
struct CrossEntropyRows {
  T* nll;
  T* logits;
  const T* bias;
  const std::int32_t* target;
  T gradient_scale;
};
void softmax_cross_entropy(const CrossEntropyRows<float>& pass, std::size_t rows, std::size_t n);
void softmax_cross_entropy(const CrossEntropyRows<double>& pass, std::size_t rows, std::size_t n);

}  // namespace sluice::kernels
SLUICE_API_END
