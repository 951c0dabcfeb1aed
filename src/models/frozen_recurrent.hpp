#pragma once
// The frozen stack of the recurrent language models.

#include <memory>

#include "sluice/models/frozen_stack.hpp"
#include "sluice/nn/frozen_recurrent.hpp"

namespace sluice {

/// From token vectors to the last layer's hidden states. A text's state is one tensor: the states
/// of all layers, one after another.
std::unique_ptr<FrozenStack> make_frozen_recurrent(FrozenRecurrent stack);

}  // namespace sluice
