#pragma once
// How rows of a fused unit are split over threads, and what it reads and writes.

#include <algorithm>
#include <cstdint>

#include "sluice/base/parallel.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {

/// Bytes a unit reads and writes for rows of `inputs` and `outputs` columns in all.
inline double unit_bytes(std::int64_t rows, std::int64_t inputs, std::int64_t outputs,
                         DType dtype) {
  return static_cast<double>(rows * (inputs + outputs)) * static_cast<double>(dtype_size(dtype));
}

/// Rows of work per partial bias gradient: fixed, so that sums do not depend on the thread count.
inline constexpr std::int64_t kRowBlock = 64;

/// Calls f(block, stream, first, rows) over blocks of at most kRowBlock rows of each of `batch`
/// streams of `time` rows, on all threads; small work stays on this one.
template <class F>
void for_row_blocks(std::int64_t batch, std::int64_t time, std::int64_t row_elements, F&& f) {
  const std::int64_t per_stream = (time + kRowBlock - 1) / kRowBlock;
  const std::int64_t block_elements =
      std::min(time, kRowBlock) * std::max<std::int64_t>(row_elements, 1);
  const std::int64_t grain = std::max<std::int64_t>(1, kElementGrain / block_elements);
  parallel_for(batch * per_stream, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block % per_stream * kRowBlock;
      f(block, block / per_stream, first, std::min(kRowBlock, time - first));
    }
  });
}

}  // namespace sluice
