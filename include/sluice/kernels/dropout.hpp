#pragma once
// Dropout of contiguous spans. One thread, no allocation.

#include <cstddef>
#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/base/random.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// Inverted dropout: y[i] = keep(offset + i) ? x[i] / (1 - p) : 0, where keep(j) is true when
/// key.bits(j) is at least p·2³². The same call on dy gives dx. 0 <= p < 1. y may be x.
void dropout(float* y, const float* x, std::size_t n, float p, const RandomKey& key,
             std::uint64_t offset);
void dropout(double* y, const double* x, std::size_t n, float p, const RandomKey& key,
             std::uint64_t offset);

}  // namespace sluice::kernels
SLUICE_API_END
