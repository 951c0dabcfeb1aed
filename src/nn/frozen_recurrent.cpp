#include "sluice/nn/frozen_recurrent.hpp"

#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/prepared_cell.hpp"

namespace sluice {

Tensor FrozenRecurrent::forward(const Tensor& x, const PackedRows& rows, std::span<Tensor> state,
                                const RowLabels& labels) const {
  const recurrent::Steps steps(rows);
  Tensor y = x;
  std::size_t first = 0;
  for (const FrozenRecurrentLayer& layer : layers) {
    const std::size_t count = layer.cell->states();
    const Tensor input = layer.condition.apply(layer.norm.apply(y), labels);
    const Tensor out = layer.cell->forward(input, steps, state.subspan(first, count));
    if (residual && out.shape() == y.shape()) add_in_place(out, y);
    y = out;
    first += count;
  }
  return y;
}

}  // namespace sluice
