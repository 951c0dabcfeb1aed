#include "sluice/nn/frozen_conv.hpp"

#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {

Tensor FrozenConv::forward(const ConvInput& input, const PackedRows& rows,
                           const ConvResidual& residual) const {
  if (end_.unit.fused() && end_.norm.kind() == NormKind::none) {
    return conv_.forward(input, rows,
                         {end_.bias, end_.unit.unit(), residual.added, residual.scale});
  }
  const Tensor z = conv_.forward(input, rows, {end_.bias, Unit{}, {}, 1});
  const Tensor y = end_.unit.apply(end_.norm.apply(z));
  if (!residual.added.defined()) return y;
  const Tensor sum = scaled(y, residual.scale);
  add_in_place(sum, residual.added, residual.scale);
  return sum;
}

}  // namespace sluice
