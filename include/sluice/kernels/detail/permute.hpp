#pragma once
// Rearranging the dimensions of arrays. One thread, no allocation.

#include <cstddef>

namespace sluice::kernels {

/// y[k, j, i] = x[i, j, k] for j in [begin, end), so that callers may split j over threads: x [a,
/// b, c], y [c, b, a], elsewhere.
struct OuterSwap {
  std::size_t a, b, c, begin, end;
};
void swap_outer(float* y, const float* x, const OuterSwap& shape);
void swap_outer(double* y, const double* x, const OuterSwap& shape);

}  // namespace sluice::kernels
