#pragma once
// What does not stay in the caches: inputs are fetched ahead of their use, further than the
// processor does by itself; results are written past the caches: a store that misses otherwise
// reads the line it is about to overwrite, a third of a copy's traffic. Plain forward rows are gone
// over four at a time, from four pages: one core reads them faster than one page after the other.

#include <cstddef>

namespace sluice::kernels {

/// unit_forward and unit_backward write past the caches when one call reads and writes this many
/// bytes or more. At first: what the caches hold for one core, that is twice its second-level cache
/// or a quarter of its share of the last level, whichever is more.
std::size_t streaming_threshold();

/// Sets it; for tests.
void set_streaming_threshold(std::size_t bytes);

/// They fetch their inputs ahead when one call reads and writes this many bytes or more: half of
/// the second-level cache, or the streaming threshold where that is less.
std::size_t fetching_threshold();

}  // namespace sluice::kernels
