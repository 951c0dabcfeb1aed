#pragma once
// Residual connections with dropout on the branch.

#include "sluice/autograd/dropout.hpp"
#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// y = x + dropout(branch) in one pass (He et al. 2016; Vaswani et al. 2017 §5.4): both of one
/// shape, any rank. float32 and float64. Throws Error naming both shapes when they differ.
Variable residual_add(const Variable& x, const Variable& branch, const Dropout& dropout = {});

}  // namespace sluice
SLUICE_API_END
