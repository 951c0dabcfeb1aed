#pragma once
// The frozen stack of the Transformer.

#include <memory>

#include "sluice/models/frozen_stack.hpp"
#include "sluice/nn/frozen_transformer.hpp"

namespace sluice {

/// A text's state are its pages of keys and values (tensor/key_pages.hpp).
std::unique_ptr<FrozenStack> make_frozen_transformer(FrozenTransformer stack);

}  // namespace sluice
