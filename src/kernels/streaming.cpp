#include "sluice/kernels/streaming.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>

namespace sluice::kernels {
namespace {

std::size_t positive(long value, std::size_t otherwise) {
  return value > 0 ? static_cast<std::size_t>(value) : otherwise;
}

std::size_t second_level() {
  return positive(sysconf(_SC_LEVEL2_CACHE_SIZE), std::size_t{1} << 20);
}

std::size_t measured_threshold() {
  const std::size_t last = positive(sysconf(_SC_LEVEL3_CACHE_SIZE), 0);
  const std::size_t cores = positive(sysconf(_SC_NPROCESSORS_ONLN), 1);
  return std::max(2 * second_level(), last / cores / 4);
}

std::atomic<std::size_t>& threshold() {
  static std::atomic<std::size_t> bytes{measured_threshold()};
  return bytes;
}

}  // namespace

std::size_t streaming_threshold() { return threshold().load(std::memory_order_relaxed); }

void set_streaming_threshold(std::size_t bytes) {
  threshold().store(bytes, std::memory_order_relaxed);
}

std::size_t fetching_threshold() {
  static const std::size_t half = second_level() / 2;
  return std::min(half, streaming_threshold());
}

}  // namespace sluice::kernels
