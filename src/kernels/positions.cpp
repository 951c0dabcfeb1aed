#include "sluice/kernels/detail/positions.hpp"

#include <algorithm>

namespace sluice::kernels {

std::int32_t wrapped_positions(std::span<std::int32_t> index, std::int32_t first,
                               std::int32_t window) {
  for (std::int32_t& at : index) {
    at = first;
    first = first < window - 1 ? first + 1 : 0;
  }
  return first;
}

void wrapped_positions(std::span<std::int32_t> index, std::span<std::int32_t> after,
                       std::span<const std::int32_t> before, std::int32_t window) {
  for (std::size_t b = 0; b < after.size(); ++b) {
    const std::size_t time = index.size() / after.size();
    after[b] =
        wrapped_positions(index.subspan(b * time, time), before.empty() ? 0 : before[b], window);
  }
}

void count_positions(std::span<std::int32_t> after, std::span<const std::int32_t> before,
                     std::int64_t count, std::int32_t most) {
  for (std::size_t b = 0; b < after.size(); ++b) {
    const std::int64_t all = (before.empty() ? 0 : before[b]) + count;
    after[b] = static_cast<std::int32_t>(std::min<std::int64_t>(all, most));
  }
}

}  // namespace sluice::kernels
