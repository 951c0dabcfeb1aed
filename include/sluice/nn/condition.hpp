#pragma once
// What a label adds to a layer: the V·h of conditional gates.

#include <cstdint>
#include <string>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/nn/module.hpp"
#include "sluice/nn/row_labels.hpp"
#include "sluice/tensor/freeze.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Condition with its weights made ready (Condition::freeze). Constant to its users.
struct FrozenCondition {
  Tensor weight;  ///< float32 [labels + 1, M], or undefined: nothing is added

  bool defined() const { return weight.defined(); }
  /// x + V·h: x [R, M], of a new tensor, or x itself where nothing is added.
  Tensor apply(const Tensor& x, const RowLabels& labels) const;
};

/// x + V·h for a label h, one-hot, of each row (van den Oord et al. 2016, eq. 4: with x the
/// projection of a gated unit, [W∗x, W′∗x], this makes tanh(W∗x + V·h) ⊙ σ(W′∗x + V′·h)); row 0 of
/// V is the unknown label's. V starts at zero: labels differ by what is learned of them alone.
///
/// Parameter, as files have it: condition.weight [labels + 1, M]. Shares it with its copies. One
/// thread at a time may train or change it; forward passes that record nothing may run side by
/// side.
class Condition {
 public:
  /// Nothing is added.
  Condition() = default;
  /// For that many known labels; nothing is added for 0.
  Condition(std::int64_t labels, std::int64_t channels, DType dtype);

  bool defined() const { return weight_.defined(); }
  /// x [.., M] to the same shape. Throws Error when labels are given for another number of rows,
  /// and for a label that is not one of them.
  Variable forward(const Variable& x, const RowLabels& labels) const;

  /// For use without training; independent of this if options.copy.
  FrozenCondition freeze(const FreezeOptions& options) const;

  void collect(Parameters& parameters, const std::string& prefix) const;
  static std::int64_t parameter_count(std::int64_t labels, std::int64_t channels) {
    return labels > 0 ? (labels + 1) * channels : 0;
  }

 private:
  Variable weight_;
};

}  // namespace sluice
SLUICE_API_END
