#pragma once
// The caching allocator behind tensors: freed buffers are kept by size class and handed out again,
// because a fresh page costs more than the pass that fills it.

#include <atomic>
#include <cstddef>

namespace sluice::detail {

/// Sits in the cache line before the elements.
struct Buffer {
  std::atomic<long> references{1};
  std::size_t capacity = 0;
};

/// A buffer of at least `bytes`, 64-byte aligned, with one reference. Throws Error when memory runs
/// out.
Buffer* allocate(std::size_t bytes);
void* buffer_data(Buffer* buffer);

}  // namespace sluice::detail
