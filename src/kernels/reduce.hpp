#pragma once
// The partial sums of sum_of_squares, the same for float and double.

#include <array>
#include <cstddef>

namespace sluice::kernels {

/// How many partial sums: enough to keep four of the widest vectors busy.
inline constexpr std::size_t kSquareSums = 32;

/// Their total, pairwise.
inline double total(std::array<double, kSquareSums> sums) {
  for (std::size_t half = kSquareSums / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

}  // namespace sluice::kernels
