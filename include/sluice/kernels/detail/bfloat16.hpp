#pragma once
// bfloat16 as storage. One thread, no allocation.

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {

/// Rounds to nearest even (NaN stays NaN), and back.
void to_bfloat16(std::uint16_t* y, const float* x, std::size_t n);
void from_bfloat16(float* y, const std::uint16_t* x, std::size_t n);

}  // namespace sluice::kernels
