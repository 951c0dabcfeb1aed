// The gates of recurrent layers, computed once more for those who look at them.

#include "sluice/nn/recurrent.hpp"

#include "sluice/autograd/activations.hpp"
#include "sluice/autograd/arithmetic.hpp"
#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/rows.hpp"

namespace sluice {
namespace {

// Hidden states one step earlier: [B·T, H] from y [B, T, H] and the state before the first step.
Variable states_before(const Tensor& before, const Tensor& y) {
  const std::int64_t batch = y.dim(0), time = y.dim(1), hidden = y.dim(2);
  const Tensor rows = y.reshape(Shape{batch * time, hidden});
  const Tensor h(rows.shape(), y.dtype());
  for (std::int64_t b = 0; b < batch; ++b) {
    const Tensor first = h.rows(b * time, b * time + 1);
    if (before.defined()) {
      first.copy_from(before.rows(b, b + 1));
    } else {
      first.fill_zero();
    }
    h.rows(b * time + 1, (b + 1) * time).copy_from(rows.rows(b * time, (b + 1) * time - 1));
  }
  return Variable(h);
}

// Rows of block `index` of a weight or bias; undefined stays undefined.
Variable block_of(const Variable& weight, std::int64_t index, std::int64_t hidden) {
  if (!weight.defined()) return {};
  return Variable(weight.value().rows(index * hidden, (index + 1) * hidden));
}

}  // namespace

std::vector<std::pair<std::string_view, Variable>> RecurrentLayer::gates(const Variable& x,
                                                                         const Tensor& before,
                                                                         const Variable& y) const {
  const NoGrad guard;
  std::vector<std::pair<std::string_view, Variable>> gates;
  const std::int64_t hidden = options_.hidden;
  const Shape& shape = x.shape();
  const Variable inputs = reshape(x, Shape{shape[0] * shape[1], shape[2]});
  const Variable states = states_before(before, y.value());
  // σ(W x + b), plus the recurrent part by W_hh's block of the same number.
  const auto add = [&](std::string_view name, std::int64_t block, bool recurrent) {
    Variable z = linear(inputs, block_of(weights_.weight_ih, block, hidden),
                        block_of(weights_.bias_ih, block, hidden));
    if (recurrent) {
      const Variable h = linear(states, block_of(weights_.weight_hh, block, hidden),
                                block_of(weights_.bias_hh, block, hidden));
      z = add_scaled(z, 1, h, 1);
    }
    gates.emplace_back(name, unit(z, {.f = Activation::sigmoid}));
  };
  switch (options_.cell) {
    case CellKind::lstm: {
      std::int64_t block = 0;
      if (!options_.without_input_gate) add("input", block++, true);
      if (!options_.without_forget_gate) add("forget", block++, true);
      ++block;  // the candidate
      if (!options_.without_output_gate) add("output", block, true);
      break;
    }
    case CellKind::gru:
      add("reset", 0, true);
      add("update", 1, true);
      break;
    case CellKind::mut1:
      add("reset", 0, true);
      add("update", 1, false);
      break;
    case CellKind::rnn:
    case CellKind::indrnn:
      break;
  }
  return gates;
}

}  // namespace sluice
