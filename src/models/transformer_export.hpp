#pragma once
// The Transformer's layers for other programs.

#include "sluice/models/graph.hpp"
#include "sluice/models/torch_form.hpp"
#include "sluice/nn/transformer.hpp"

namespace sluice {

/// Architecture::draw() of the Transformer, `options` being what the configuration means.
GraphValue draw_transformer(const TransformerOptions& options, StackGraph& stack,
                            const GraphValue& x);

/// Architecture::torch_stack() of it.
TorchStack torch_transformer(const TransformerOptions& options, const Parameters& parameters);

}  // namespace sluice
