#pragma once
// Positions of tokens in their texts. int32 spans in and out. One thread, no allocation, any number
// of threads at once on spans of their own. They are indices: nothing here has a derivative.

#include <cstdint>
#include <span>

namespace sluice::kernels {

/// index[t] = (first + t) mod window, first in [0, window), window >= 1; returns what comes next.
/// A first beyond the window is left for whoever looks it up to refuse, and 0 comes behind it.
std::int32_t wrapped_positions(std::span<std::int32_t> index, std::int32_t first,
                               std::int32_t window);

/// The same of texts side by side: index [B, T], T = index.size() / B, text b from before[b] on,
/// after[b] what comes next. An empty `before` is one of zeros, else it has B elements as `after`
/// has, and may be it.
void wrapped_positions(std::span<std::int32_t> index, std::span<std::int32_t> after,
                       std::span<const std::int32_t> before, std::int32_t window);

/// after[b] = min(before[b] + count, most); an empty `before` is one of zeros, and it may be
/// `after`. Sums do not overflow; `most` is at least 0.
void count_positions(std::span<std::int32_t> after, std::span<const std::int32_t> before,
                     std::int64_t count, std::int32_t most);

}  // namespace sluice::kernels
