#pragma once
// The causal convolution layer of a model that is used, not trained.

#include <utility>

#include "sluice/base/api.hpp"
#include "sluice/nn/condition.hpp"
#include "sluice/nn/norm.hpp"
#include "sluice/nn/unit_layer.hpp"
#include "sluice/tensor/prepared_conv.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What is added to a layer's output, and what their sum is multiplied by.
struct ConvResidual {
  Tensor added;  ///< [ΣT, N], or undefined for nothing
  double scale = 1;
};

/// GatedConv1d with its weight normalisation applied (GatedConv1d::freeze). Constant to its users:
/// any number of threads may call it at once.
class FrozenConv {
 public:
  /// What is behind the convolution.
  struct End {
    Tensor bias;
    UnitLayer unit;
    Norm norm;
  };
  FrozenConv(PreparedConv conv, End end, FrozenCondition condition = {});

  const ConvWidths& widths() const { return conv_.widths(); }
  /// y = (unit(norm(input ∗ W + b) + V·h) + residual) · scale: [ΣT, N]. A label that all rows share
  /// costs nothing: its bias is b + V·h.
  Tensor forward(const ConvInput& input, const PackedRows& rows, const ConvResidual& residual = {},
                 const RowLabels& labels = {}) const;
  /// Memory of the filters.
  std::size_t bytes() const { return conv_.bytes(); }

 private:
  PreparedConv conv_;
  End end_;
  FrozenCondition condition_;
  Tensor biases_;  // [labels + 1, M]: b + V·h, where there are labels
};

}  // namespace sluice
SLUICE_API_END
