#pragma once
// The gated convolutional model's layers for other programs.

#include "sluice/models/config.hpp"
#include "sluice/models/graph.hpp"
#include "sluice/models/torch_form.hpp"

namespace sluice {

/// Architecture::draw() of the gated convolutional model.
GraphValue draw_gcnn(const ModelConfig& config, StackGraph& stack, const GraphValue& x);

/// Architecture::torch_stack() of it.
TorchStack torch_gcnn(const ModelConfig& config, const Parameters& parameters);

}  // namespace sluice
