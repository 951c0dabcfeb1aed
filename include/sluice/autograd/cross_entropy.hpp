#pragma once
// The loss of language models.

#include <cstdint>
#include <span>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/tensor/precision.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What a loss is taken against, and where it goes.
struct CrossEntropy {
  /// The class of each row, [R] in [0, V).
  std::span<const std::int32_t> targets;
  /// What the sum over rows is multiplied by.
  double scale = 1;
  /// When defined, each row's negative log-likelihood is added to nll[row_index[r]], or to nll[r]
  /// when row_index is empty.
  Tensor nll = {};
  std::span<const std::int32_t> row_index = {};
  Precision precision = Precision::f32;
};

/// Σ_r nll[r] · scale of a linear layer followed by softmax cross-entropy, fused so that logits
/// exist for one block of rows at a time: h [R, D], weight [V, D], bias [V] or undefined; [1].
/// Throws Error for shapes, targets or indices that do not fit.
Variable linear_cross_entropy(const Variable& h, const Variable& weight, const Variable& bias,
                              const CrossEntropy& loss);

}  // namespace sluice
SLUICE_API_END
