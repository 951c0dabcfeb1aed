#include "frozen_transformer.hpp"

#include <utility>
#include <vector>

namespace sluice {
namespace {

class FrozenTransformerStack final : public FrozenStack {
 public:
  explicit FrozenTransformerStack(FrozenTransformer stack)
      : FrozenStack(stack.layout.width, stack.layout.width), stack_(std::move(stack)) {}

 private:
  Tensor run(const Tensor& x, const PackedRows& rows, std::span<StackState* const> states,
             const RowLabels& labels) const override {
    std::vector<TextKeys> texts;
    for (StackState* const state : states) texts.push_back({&state->tensors, state->position});
    return stack_.forward(x, rows, texts, labels);
  }

  FrozenTransformer stack_;
};

}  // namespace

std::unique_ptr<FrozenStack> make_frozen_transformer(FrozenTransformer stack) {
  return std::make_unique<FrozenTransformerStack>(std::move(stack));
}

}  // namespace sluice
