#include "sluice/nn/frozen_transformer.hpp"

#include "sluice/kernels/detail/positions.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/rows.hpp"

namespace sluice {
namespace {

/// x plus the vectors of its rows' positions.
Tensor with_positions(const Tensor& x, const Tensor& table, const PackedRows& rows,
                      std::span<const TextKeys> texts) {
  std::vector<std::int32_t> index(static_cast<std::size_t>(rows.rows()));
  const std::int64_t window = table.dim(0);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    kernels::wrapped_positions(std::span(index).subspan(static_cast<std::size_t>(rows.first(i)),
                                                        static_cast<std::size_t>(rows.length(i))),
                               static_cast<std::int32_t>(texts[i].position % window),
                               static_cast<std::int32_t>(window));
  }
  Tensor sum = pick_rows(table, index, "positions");
  add_in_place(sum, x);
  return sum;
}

}  // namespace

Tensor FrozenAttention::forward(const Tensor& x, const KeyPass& keys, std::int64_t layer) const {
  const Tensor projected = qkv.product(x);
  add_bias(projected, qkv_bias);
  Tensor y = out.product(keys.attend(projected, layer, how));
  add_bias(y, out_bias);
  return y;
}

Tensor FrozenFeedForward::forward(const Tensor& x) const {
  if (unit.fused()) return weights.forward(x, unit.unit());
  const Tensor z = weights.in.product(x);
  add_bias(z, weights.in_bias);
  Tensor y = weights.out.product(unit.apply(z));
  add_bias(y, weights.out_bias);
  return y;
}

Tensor FrozenTransformerBlock::forward(const Tensor& x, const KeyPass& keys, std::int64_t layer,
                                       const RowLabels& labels) const {
  const Tensor middle =
      attention.forward(attention_condition.apply(attention_norm.apply(x), labels), keys, layer);
  add_in_place(middle, x);
  Tensor y = ffn.forward(ffn_condition.apply(ffn_norm.apply(middle), labels));
  add_in_place(y, middle);
  return y;
}

Tensor FrozenTransformer::forward(const Tensor& x, const PackedRows& rows,
                                  std::span<const TextKeys> texts, const RowLabels& labels) const {
  KeyPass keys(layout, rows, texts);
  Tensor y = positions.defined() ? with_positions(x, positions, rows, texts) : x;
  std::int64_t layer = 0;
  for (const FrozenTransformerBlock& block : blocks) y = block.forward(y, keys, layer++, labels);
  keys.keep();
  return norm.apply(y);
}

}  // namespace sluice
