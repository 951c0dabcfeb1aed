#pragma once
// Dimensions in another order, on all threads. float32 and float64.

#include "sluice/tensor/tensor.hpp"

namespace sluice {

/// The first and last of three dimensions swapped: [A, B, C] becomes [C, B, A].
Tensor swap_outer(const Tensor& x);

}  // namespace sluice
