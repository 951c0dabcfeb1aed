#include "sluice/nn/frozen_conv.hpp"

#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {

FrozenConv::FrozenConv(PreparedConv conv, End end, FrozenCondition condition)
    : conv_(std::move(conv)), end_(std::move(end)), condition_(std::move(condition)) {
  if (!condition_.defined()) return;
  biases_ = condition_.weight.clone();
  add_bias(biases_, end_.bias);
}

Tensor FrozenConv::forward(const ConvInput& input, const PackedRows& rows,
                           const ConvResidual& residual, const RowLabels& labels) const {
  const bool conditional = condition_.defined();
  if (end_.unit.fused() && end_.norm.kind() == NormKind::none && (!conditional || labels.one())) {
    const Tensor bias = conditional
                            ? biases_.rows(labels.all, labels.all + 1).reshape(end_.bias.shape())
                            : end_.bias;
    return conv_.forward(input, rows, {bias, end_.unit.unit(), residual.added, residual.scale});
  }
  const Tensor z = conv_.forward(input, rows, {end_.bias, Unit{}, {}, 1});
  Tensor y = end_.unit.apply(condition_.apply(end_.norm.apply(z), labels));
  if (!residual.added.defined()) return y;
  Tensor sum = scaled(y, residual.scale);
  add_in_place(sum, residual.added, residual.scale);
  return sum;
}

}  // namespace sluice
