#include "sluice/models/memory.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "sluice/base/error.hpp"
#include "sluice/models/architecture.hpp"

namespace sluice {
namespace {

/// "17.2 GB", in powers of 1000.
std::string bytes_string(double bytes) {
  constexpr const char* units[] = {"bytes", "kB", "MB", "GB", "TB", "PB", "EB"};
  std::size_t unit = 0;
  while (bytes >= 1000 && unit + 1 < std::size(units)) {
    bytes /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} bytes", bytes)
                   : fmt::format("{:.1f} {}", bytes, units[unit]);
}

}  // namespace

std::size_t training_memory_estimate(const ModelConfig& config, std::int64_t batch,
                                     std::int64_t context, int optimizer_states, bool recompute) {
  const StackMemory stack = config.architecture().memory(config, recompute);
  const double per_position = static_cast<double>(config.dim) + stack.per_position + stack.widest;
  const double scalars = static_cast<double>(config.parameter_count()) * (2.0 + optimizer_states) +
                         2 * stack.derived +
                         static_cast<double>(batch) * static_cast<double>(context) * per_position;
  const double bytes = scalars * sizeof(float);
  constexpr auto most = std::numeric_limits<std::size_t>::max();
  return bytes >= static_cast<double>(most) ? most : static_cast<std::size_t>(bytes);
}

std::size_t physical_memory() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_size = sysconf(_SC_PAGE_SIZE);
  std::size_t memory = std::numeric_limits<std::size_t>::max();
  if (pages > 0 && page_size > 0) {
    memory = static_cast<std::size_t>(pages) * static_cast<std::size_t>(page_size);
  }
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    std::size_t limit = 0;
    if (file >> limit && limit > 0) memory = std::min(memory, limit);  // "max" does not parse
  }
  return memory;
}

void check_training_memory(const ModelConfig& config, std::int64_t batch, std::int64_t context,
                           int optimizer_states, bool recompute, std::size_t available) {
  const std::size_t needed =
      training_memory_estimate(config, batch, context, optimizer_states, recompute);
  if (needed <= available) return;
  throw UsageError(fmt::format(
      "training this model ({} parameters, batch {} × context {}) would need about {} of memory "
      "and there are {}; lower the widths, the vocabulary, the batch or the context",
      config.parameter_count(), batch, context, bytes_string(static_cast<double>(needed)),
      bytes_string(static_cast<double>(available))));
}

}  // namespace sluice
