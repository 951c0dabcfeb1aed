#include "frozen_recurrent.hpp"

#include <utility>

#include "sluice/tensor/detail/prepared_cell.hpp"
#include "sluice/tensor/detail/rows.hpp"

namespace sluice {
namespace {

class FrozenRecurrentStack final : public FrozenStack {
 public:
  explicit FrozenRecurrentStack(FrozenRecurrent stack)
      : FrozenStack(stack.layers.front().cell->inputs(), stack.layers.back().cell->hidden()),
        stack_(std::move(stack)) {
    for (const FrozenRecurrentLayer& layer : stack_.layers) {
      widths_.insert(widths_.end(), layer.cell->states(), layer.cell->hidden());
      carried_ += static_cast<std::int64_t>(layer.cell->states()) * layer.cell->hidden();
    }
  }

 private:
  Tensor run(const Tensor& x, const PackedRows& rows, std::span<StackState* const> states,
             const RowLabels& labels) const override {
    std::vector<Tensor> before, after;  // of each text, the states of all layers
    for (const StackState* const state : states) {
      before.push_back(state->tensors.empty() ? Tensor() : state->tensors.front());
      after.emplace_back(Shape{carried_});
    }
    std::vector<Tensor> batch;
    std::int64_t place = 0;
    for (const std::int64_t width : widths_) {
      batch.push_back(stacked_parts(before, place, width));
      place += width;
    }
    Tensor y = stack_.forward(x, rows, batch, labels);
    place = 0;
    for (std::size_t i = 0; i < widths_.size(); ++i) {
      spread_parts(after, place, batch[i]);
      place += widths_[i];
    }
    for (std::size_t b = 0; b < after.size(); ++b) states[b]->tensors = {std::move(after[b])};
    return y;
  }

  FrozenRecurrent stack_;
  std::vector<std::int64_t> widths_;  // of each tensor of state
  std::int64_t carried_ = 0;
};

}  // namespace

std::unique_ptr<FrozenStack> make_frozen_recurrent(FrozenRecurrent stack) {
  return std::make_unique<FrozenRecurrentStack>(std::move(stack));
}

}  // namespace sluice
