#pragma once
// Differentiable sums and scaling. Shapes are checked (Error naming the op and both shapes).
// float32 and float64.

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// y = a · x + b · z, elementwise.
Variable add_scaled(const Variable& x, double a, const Variable& z, double b);

/// y = a · x.
Variable scale(const Variable& x, double a);

/// Σ of all elements, and their mean: [1].
Variable sum(const Variable& x);
Variable mean(const Variable& x);

}  // namespace sluice
SLUICE_API_END
