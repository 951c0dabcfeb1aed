#pragma once
// The caching allocator behind tensors: freed buffers are kept by size class and handed out again,
// because a fresh page costs more than the pass that fills it.

#include <atomic>
#include <cstddef>
#include <memory>

namespace sluice::detail {

/// Sits in the cache line before the elements, or holds those of someone else.
struct Buffer {
  std::atomic<long> references{1};
  std::size_t capacity = 0;
  const void* held = nullptr;
  std::shared_ptr<const void> owner;
};

/// A buffer of at least `bytes`, 64-byte aligned, with one reference. Throws Error when memory runs
/// out. `zero`, if given, is set to whether its elements are zeros: pages that come from the
/// operating system are, and cost nothing as long as nobody touches them.
Buffer* allocate(std::size_t bytes, bool* zero = nullptr);
/// A buffer of elements that `owner` keeps, with one reference.
Buffer* hold(const void* data, std::shared_ptr<const void> owner);
void* buffer_data(Buffer* buffer);

}  // namespace sluice::detail
