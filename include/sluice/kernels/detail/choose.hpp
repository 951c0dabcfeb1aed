#pragma once
// What drawing a token from a distribution looks at, block by block. One thread, no allocation.

#include <cstddef>

namespace sluice::kernels {

/// Elements of a block; the last one may have fewer.
inline constexpr std::size_t kChoiceBlock = 64;

/// peaks[j] = the largest element of the j-th block of x [n], NaN elements aside (-Inf where there
/// are no others). Returns whether any element is NaN.
bool block_peaks(float* peaks, const float* x, std::size_t n);

/// sums[j] = Σ e^((x[i] - peak) · scale) over the j-th block of x [n]: x <= peak, finite scale >=
/// 0. Within 1e-13 of the exact sum, relatively, plus 1e-300.
void block_weights(double* sums, const float* x, std::size_t n, double peak, double scale);

}  // namespace sluice::kernels
