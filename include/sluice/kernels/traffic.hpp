#pragma once
// What does not stay in the caches: inputs are fetched ahead of their use, further than the
// processor does by itself; results are written past the caches: a store that misses otherwise
// reads the line it is about to overwrite, a third of a copy's traffic. Plain forward rows are gone
// over four at a time, from four pages: one core reads them faster than one page after the other.

#include <cstdint>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// How a kernel goes about memory. Its caller says so, who knows of how much the call is a part.
/// Results do not depend on it.
enum class Traffic : std::uint8_t {
  cached,    ///< what is read and written is, or stays, in the caches
  fetched,   ///< inputs are fetched ahead
  streamed,  ///< and results are written past the caches, where that can be
};

/// The traffic of reading and writing `bytes` in all. Streamed is what the caches do not hold for
/// one core: twice its second-level cache or a quarter of its share of the last level, whichever is
/// more; fetched, half of the second-level cache.
Traffic traffic_of(double bytes);

}  // namespace sluice::kernels
SLUICE_API_END
