#include "allocator.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/tensor/tensor.hpp"

#include <fmt/format.h>

namespace sluice {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kMapThreshold = std::size_t{1} << 21;
static_assert(sizeof(detail::Buffer) <= kAlignment);

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCache = false;  // let AddressSanitizer see every free
#else
constexpr bool kCache = true;
#endif

// Eight sizes per power of two: at most 12.5% of a buffer is unused.
std::size_t size_class(std::size_t bytes) {
  if (bytes <= 512) return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const std::size_t step = std::max(kAlignment, std::bit_floor(bytes - 1) / 8);
  return (bytes + step - 1) / step * step;
}

struct Cache {
  std::mutex mutex;
  std::map<std::size_t, std::vector<detail::Buffer*>> free;  // by capacity
  AllocatorStats stats;

  /// The smallest free buffer of at least `capacity`, if it is no more than half as large again:
  /// sizes that vary from step to step, as an adaptive softmax's do, share buffers. Null if none.
  detail::Buffer* take(std::size_t capacity) {
    const auto end = free.upper_bound(capacity + capacity / 2);
    for (auto it = free.lower_bound(capacity); it != end; ++it) {
      if (it->second.empty()) continue;
      detail::Buffer* buffer = it->second.back();
      it->second.pop_back();
      stats.bytes_cached -= buffer->capacity;
      buffer->references.store(1, std::memory_order_relaxed);
      return buffer;
    }
    return nullptr;
  }
};

// Never destroyed: tensors with static storage may outlive any destructor order.
Cache& cache() {
  static Cache* instance = new Cache;
  return *instance;
}

void* system_allocate(std::size_t bytes) {
  if (bytes < kMapThreshold) return std::aligned_alloc(kAlignment, bytes);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

void system_free(detail::Buffer* buffer) {
  const std::size_t total = buffer->capacity + kAlignment;
  buffer->~Buffer();
  if (total < kMapThreshold) {
    std::free(buffer);
  } else {
    munmap(buffer, total);
  }
}

void release_all(Cache& c) {
  for (auto& [capacity, buffers] : c.free) {
    for (detail::Buffer* buffer : buffers) system_free(buffer);
    buffers.clear();
  }
  c.stats.bytes_cached = 0;
}

/// Whether there was memory to note that the buffer is free: destructors call this.
bool keep_free(Cache& c, detail::Buffer* buffer) noexcept {
  try {
    c.free[buffer->capacity].push_back(buffer);
  } catch (const std::bad_alloc&) {
    return false;
  }
  c.stats.bytes_cached += buffer->capacity;
  return true;
}

}  // namespace

namespace detail {

Buffer* allocate(std::size_t bytes, bool* zero) {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  if (bytes > std::size_t{1} << 46) {
    throw Error(fmt::format("cannot allocate a tensor of {} bytes; use smaller sizes", bytes));
  }
  const std::size_t capacity = size_class(bytes == 0 ? 1 : bytes);
  Buffer* buffer = c.take(capacity);
  if (buffer == nullptr) {
    void* memory = system_allocate(capacity + kAlignment);
    if (memory == nullptr) {
      release_all(c);
      memory = system_allocate(capacity + kAlignment);
    }
    if (memory == nullptr) {
      throw Error(fmt::format(
          "out of memory: a tensor of {:.1f} MiB could not be allocated with {:.1f} MiB "
          "in use; lower the batch, the context or the width",
          static_cast<double>(capacity) / 1048576.0,
          static_cast<double>(c.stats.bytes_in_use) / 1048576.0));
    }
    ++c.stats.system_allocations;
    buffer = new (memory) Buffer;
    buffer->capacity = capacity;
    if (zero != nullptr) *zero = capacity + kAlignment >= kMapThreshold;
  }
  c.stats.bytes_in_use += buffer->capacity;
  c.stats.peak_bytes_in_use = std::max(c.stats.peak_bytes_in_use, c.stats.bytes_in_use);
  return buffer;
}

void retain(Buffer* buffer) {
  if (buffer != nullptr) buffer->references.fetch_add(1, std::memory_order_relaxed);
}

void release(Buffer* buffer) {
  if (buffer == nullptr || buffer->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (buffer->held != nullptr) {
    delete buffer;
    return;
  }
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  c.stats.bytes_in_use -= buffer->capacity;
  if (kCache && keep_free(c, buffer)) return;
  system_free(buffer);
}

Buffer* hold(const void* data, std::shared_ptr<const void> owner) {
  auto* const buffer = new Buffer;
  buffer->held = data;
  buffer->owner = std::move(owner);
  return buffer;
}

void* buffer_data(Buffer* buffer) {
  // Nobody writes to what is held: Tensor has no pointers to constants.
  if (buffer->held != nullptr) return const_cast<void*>(buffer->held);
  return reinterpret_cast<std::byte*>(buffer) + kAlignment;
}

}  // namespace detail

AllocatorStats allocator_stats() {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  return c.stats;
}

void release_cached_memory() {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  release_all(c);
}

}  // namespace sluice
