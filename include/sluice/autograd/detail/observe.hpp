#pragma once
// Looking at gradients on their way.

#include <functional>

#include "sluice/autograd/variable.hpp"

namespace sluice {

/// x itself, same elements. When the reverse walk brings its gradient dy (of x's shape), seen(dy)
/// is called before dy goes on to x; nothing may be kept of dy but what is computed from it.
/// Without a recording tape, or when x requires no gradient, `seen` is never called.
Variable observe(const Variable& x, std::function<void(const Tensor& dy)> seen);

}  // namespace sluice
