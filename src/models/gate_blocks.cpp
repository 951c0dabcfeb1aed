#include "gate_blocks.hpp"

#include <algorithm>

namespace sluice {

LstmBlocks lstm_blocks(const RecurrentOptions& options) {
  std::int64_t next = 0;
  const auto block = [&next](bool removed) { return removed ? GateBlock{} : GateBlock{next++}; };
  LstmBlocks blocks;
  blocks.input = block(options.without_input_gate);
  blocks.forget = block(options.without_forget_gate);
  blocks.cell = block(false);
  blocks.output = block(options.without_output_gate);
  return blocks;
}

Tensor ordered_blocks(const Tensor& w, std::int64_t hidden, const std::vector<GateBlock>& order) {
  const std::int64_t k = w.elements() / w.dim(0);
  Tensor out = Tensor::zeros(Shape{static_cast<std::int64_t>(order.size()) * hidden, k});
  std::int64_t at = 0;
  for (const GateBlock& block : order) {
    if (block) {
      out.rows(at, at + hidden)
          .copy_from(w.rows(*block * hidden, (*block + 1) * hidden).reshape(Shape{hidden, k}));
    }
    at += hidden;
  }
  return out;
}

void open_gates(const Tensor& bias, const std::vector<GateBlock>& order) {
  constexpr float open = 40;
  const std::int64_t hidden = bias.elements() / static_cast<std::int64_t>(order.size());
  float* at = bias.data<float>();
  for (const GateBlock& block : order) {
    if (!block) std::fill_n(at, hidden, open);
    at += hidden;
  }
}

}  // namespace sluice
