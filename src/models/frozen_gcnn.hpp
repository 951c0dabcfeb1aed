#pragma once
// The frozen stack of the gated convolutional language model.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "sluice/models/frozen_stack.hpp"
#include "sluice/nn/frozen_conv.hpp"

namespace sluice {

/// A layer as Gcnn has it.
struct FrozenGcnnLayer {
  FrozenConv conv;
  /// What brings a residual of another width to the layer's.
  std::optional<FrozenConv> projection;
  /// Index into the inputs of layers, -1 for none.
  std::int64_t residual = -1;
};

/// Columns of what a stack reads and gives.
struct GcnnWidths {
  std::int64_t input = 0, output = 0;
};

/// From token vectors to what the last layer gives; `input`: a projection in front of the layers,
/// if there is one. A text's state is one tensor: the last K-1 inputs of each layer, one after
/// another.
std::unique_ptr<FrozenStack> make_frozen_gcnn(const GcnnWidths& widths,
                                              std::optional<FrozenConv> input,
                                              std::vector<FrozenGcnnLayer> layers);

}  // namespace sluice
