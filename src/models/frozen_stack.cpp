#include "sluice/models/frozen_stack.hpp"

#include <fmt/format.h>

#include "sluice/base/error.hpp"

namespace sluice {

std::size_t StackState::bytes() const {
  std::size_t sum = 0;
  for (const Tensor& tensor : tensors) sum += tensor.defined() ? tensor.bytes() : 0;
  return sum;
}

Tensor FrozenStack::forward(const Tensor& x, const PackedRows& rows,
                            std::span<StackState* const> states, const RowLabels& labels) const {
  if (x.shape() != Shape{rows.rows(), inputs_} || states.size() != rows.texts()) {
    throw Error(
        fmt::format("frozen stack: {} states and input {} given for {} texts, expected [{}, {}]",
                    states.size(), x.shape().str(), rows.texts(), rows.rows(), inputs_));
  }
  if (!labels.one() && static_cast<std::int64_t>(labels.each.size()) != rows.rows()) {
    throw Error(
        fmt::format("frozen stack: {} labels given for {} rows", labels.each.size(), rows.rows()));
  }
  for (std::size_t i = 0; i < rows.texts(); ++i) {
    if (rows.length(i) < 1) {
      throw Error(fmt::format("frozen stack: text {} has no rows to read; leave it out", i));
    }
  }
  if (rows.texts() == 0) return Tensor(Shape{0, outputs_});
  Tensor out = run(x, rows, states, labels);
  for (std::size_t i = 0; i < rows.texts(); ++i) states[i]->position += rows.length(i);
  return out;
}

}  // namespace sluice
