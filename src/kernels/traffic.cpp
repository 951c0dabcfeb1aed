#include "sluice/kernels/traffic.hpp"

#include <unistd.h>

#include <algorithm>

namespace sluice::kernels {
namespace {

double positive(long value, double otherwise) {
  return value > 0 ? static_cast<double>(value) : otherwise;
}

struct Thresholds {
  double fetched, streamed;
};

Thresholds of_this_machine() {
  const double second = positive(sysconf(_SC_LEVEL2_CACHE_SIZE), 0x1p20);
  const double last = positive(sysconf(_SC_LEVEL3_CACHE_SIZE), 0);
  const double cores = positive(sysconf(_SC_NPROCESSORS_ONLN), 1);
  return {second / 2, std::max(2 * second, last / cores / 4)};
}

}  // namespace

Traffic traffic_of(double bytes) {
  static const Thresholds thresholds = of_this_machine();
  if (bytes >= thresholds.streamed) return Traffic::streamed;
  return bytes >= thresholds.fetched ? Traffic::fetched : Traffic::cached;
}

}  // namespace sluice::kernels
