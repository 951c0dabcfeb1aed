#pragma once
// Recurrent layers as a graph.

#include "sluice/models/config.hpp"
#include "sluice/models/graph.hpp"
#include "sluice/nn/recurrent.hpp"

namespace sluice {

/// Architecture::draw() of recurrent models, `layers` being what the configuration means.
GraphValue draw_recurrent(const RecurrentStackOptions& layers, StackGraph& stack,
                          const GraphValue& x);

}  // namespace sluice
