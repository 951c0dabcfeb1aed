#pragma once
// Recurrent layers for other programs.

#include "sluice/models/config.hpp"
#include "sluice/models/graph.hpp"
#include "sluice/models/torch_form.hpp"
#include "sluice/nn/recurrent.hpp"

namespace sluice {

/// Architecture::draw() of recurrent models, `layers` being what the configuration means.
GraphValue draw_recurrent(const RecurrentStackOptions& layers, StackGraph& stack,
                          const GraphValue& x);

/// Architecture::torch_stack() of them. Throws Error for cells that PyTorch does not have.
TorchStack torch_recurrent(const RecurrentStackOptions& layers, const Parameters& parameters);

}  // namespace sluice
