#pragma once
// The shapes of a linear layer.

#include "sluice/autograd/variable.hpp"

namespace sluice {

/// Throws Error naming `op` and the shapes unless x is [R, C], weight [N, C], and bias [N] or
/// undefined.
void check_linear(const char* op, const Variable& x, const Variable& weight, const Variable& bias);

}  // namespace sluice
