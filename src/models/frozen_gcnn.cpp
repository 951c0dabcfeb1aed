#include "frozen_gcnn.hpp"

#include <algorithm>
#include <cmath>

#include "sluice/tensor/detail/rows.hpp"

namespace sluice {
namespace {

class FrozenGcnn final : public FrozenStack {
 public:
  FrozenGcnn(const GcnnWidths& ends, std::optional<FrozenConv> input,
             std::vector<FrozenGcnnLayer> layers)
      : FrozenStack(ends.input, ends.output),
        input_(std::move(input)),
        layers_(std::move(layers)),
        last_use_(layers_.size() + 1) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const ConvWidths& widths = layers_[i].conv.widths();
      carried_ += (widths.kernel - 1) * widths.channels;
      last_use_[i] = i;
      if (layers_[i].residual >= 0) last_use_[static_cast<std::size_t>(layers_[i].residual)] = i;
    }
  }

 private:
  Tensor run(const Tensor& x, const PackedRows& rows, std::span<StackState* const> states,
             const RowLabels& labels) const override {
    std::vector<Tensor> before, after;  // of each text, the inputs of all layers that are carried
    if (carried_ > 0) {
      for (const StackState* const state : states) {
        before.push_back(state->tensors.empty() ? Tensor() : state->tensors.front());
        after.emplace_back(Shape{carried_});
      }
    }
    std::vector<Tensor> values(layers_.size() + 1);  // inputs of layers, freed after last use
    values[0] = input_ ? input_->forward({x, {}}, rows) : x;
    std::int64_t place = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const FrozenGcnnLayer& layer = layers_[i];
      const ConvWidths& widths = layer.conv.widths();
      ConvInput input{values[i], {}};
      const std::int64_t lead = (widths.kernel - 1) * widths.channels;
      if (lead > 0) {
        input.context = stacked_parts(before, place, lead);
        spread_parts(after, place, trailing_rows(input, rows, widths.kernel));
        place += lead;
      }
      values[i + 1] = layer.conv.forward(input, rows, residual_of(layer, values, rows), labels);
      for (std::size_t j = 0; j <= i; ++j) {
        if (last_use_[j] == i) values[j] = Tensor();
      }
    }
    for (std::size_t b = 0; b < after.size(); ++b) states[b]->tensors = {std::move(after[b])};
    return values.back();
  }

  static ConvResidual residual_of(const FrozenGcnnLayer& layer, const std::vector<Tensor>& values,
                                  const PackedRows& rows) {
    if (layer.residual < 0) return {};
    const Tensor& value = values[static_cast<std::size_t>(layer.residual)];
    return {layer.projection ? layer.projection->forward({value, {}}, rows) : value,
            std::sqrt(0.5)};
  }

  std::optional<FrozenConv> input_;
  std::vector<FrozenGcnnLayer> layers_;
  std::vector<std::size_t> last_use_;
  std::int64_t carried_ = 0;
};

}  // namespace

std::unique_ptr<FrozenStack> make_frozen_gcnn(const GcnnWidths& widths,
                                              std::optional<FrozenConv> input,
                                              std::vector<FrozenGcnnLayer> layers) {
  return std::make_unique<FrozenGcnn>(widths, std::move(input), std::move(layers));
}

}  // namespace sluice
