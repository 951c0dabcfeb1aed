#pragma once
// Counter-based random numbers (Philox4x32-10, Salmon et al. 2011, "Parallel random numbers: as
// easy as 1, 2, 3"). A value is a pure function of (seed, stream, step, index): the same whatever
// the thread count, and nothing to save for resume.

#include <array>
#include <cstdint>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Philox4x32-10 on a 128-bit counter and 64-bit key.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

/// Names one reproducible sequence of random numbers: `seed` for the run, `stream` for the consumer
/// (a layer's dropout, an initialiser, the sampler), `step` for the point in time.
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  std::uint32_t step = 0;

  /// 32 uniform bits for `index` (word index%4 of Philox block index/4; counter = {block low, block
  /// high, stream, step}, key = {seed low, seed high}).
  std::uint32_t bits(std::uint64_t index) const;
  /// Uniform in [0, 1) with 24 bits.
  float uniform(std::uint64_t index) const;
  /// Uniform in (0, 1) with 53 bits, from bits(2·index) and bits(2·index + 1).
  double uniform_double(std::uint64_t index) const;
  /// Standard normal by Box-Muller from uniform_double(2·index) and uniform_double(2·index + 1).
  double normal(std::uint64_t index) const;
};

}  // namespace sluice
SLUICE_API_END
