#pragma once
// The Transformer's layers as a graph.

#include "sluice/models/graph.hpp"
#include "sluice/nn/transformer.hpp"

namespace sluice {

/// Architecture::draw() of the Transformer, `options` being what the configuration means, its
/// ffn_width included.
GraphValue draw_transformer(const TransformerOptions& options, StackGraph& stack,
                            const GraphValue& x);

}  // namespace sluice
