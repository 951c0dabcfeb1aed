#pragma once
// The gated convolutional model's layers as a graph.

#include "sluice/models/config.hpp"
#include "sluice/models/graph.hpp"

namespace sluice {

/// Architecture::draw() of the gated convolutional model.
GraphValue draw_gcnn(const ModelConfig& config, StackGraph& stack, const GraphValue& x);

}  // namespace sluice
