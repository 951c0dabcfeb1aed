#pragma once
// Differentiable softmax and its relatives. Formulas, accuracy and what NaN and ±Inf do:
// kernels/softmax.hpp.

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Over the last dimension of x, of any rank; y as x (torch.nn.Softmax, LogSoftmax, Softmin with
/// dim = -1). Each keeps only y for its gradient. Throw Error when the last dimension is empty.
Variable softmax(const Variable& x);
Variable log_softmax(const Variable& x);
Variable softmin(const Variable& x);

}  // namespace sluice
SLUICE_API_END
