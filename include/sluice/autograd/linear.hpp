#pragma once
// Differentiable matrix products. float32 and float64; Error names the op and the shapes that do
// not fit.

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/tensor/precision.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// y = x·Wᵀ + b: x [R, C], weight [N, C] (PyTorch's Linear), bias [N] or undefined; y [R, N].
Variable linear(const Variable& x, const Variable& weight, const Variable& bias,
                Precision precision = Precision::f32);

/// y = x·W: x [R, C], w [C, N]; y [R, N].
Variable matmul(const Variable& x, const Variable& w, Precision precision = Precision::f32);

}  // namespace sluice
SLUICE_API_END
