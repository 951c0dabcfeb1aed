#include "sluice/training/scaling.hpp"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

constexpr double bucket_size = 4 << 20;
constexpr double seconds_per_message = 2e-6;
constexpr double seconds_per_byte = 0.6e-9;
constexpr double backward_share = 2.0 / 3;
constexpr int exchanges = 3;
constexpr int agreements = 2;

}  // namespace

std::string_view name_of_limit(ScalingLimit limit) {
  switch (limit) {
    case ScalingLimit::latency:
      return "latency";
    case ScalingLimit::bandwidth:
      return "bandwidth";
    case ScalingLimit::work:
      return "adding gradients";
    case ScalingLimit::nothing:
      break;
  }
  return "nothing";
}

ScalingPoint predict_scaling(const StepCost& cost, const Network& network, std::int64_t processes) {
  ScalingPoint point{.processes = processes};
  point.step_seconds = cost.seconds;
  if (processes > 1) {
    const auto n = static_cast<double>(processes);
    const double buckets = std::max(1.0, std::ceil(cost.gradient_bytes / bucket_size));
    const double round = network.latency + (n - 1) * seconds_per_message;
    const double transfer = 2 * (n - 1) / n * cost.sent_bytes / network.bandwidth;
    const double each = exchanges * round + transfer / buckets;
    const bool in_every_step = cost.sync_every == 0;
    const double hidden =
        in_every_step ? backward_share * cost.seconds * (buckets - 1) / buckets : 0;
    const double steps = in_every_step ? 1 : static_cast<double>(cost.sync_every);
    const double waited = std::max(each, buckets * each - hidden) / steps;
    const double work = cost.gradient_bytes * seconds_per_byte / steps;
    point.step_seconds += work + waited + agreements * round;
    // What is waited for is waited for in the proportion in which it takes time.
    const double rounds = buckets * exchanges * round;
    const double in_transfer = waited * transfer / (transfer + rounds);
    const double in_rounds = waited - in_transfer + agreements * round;
    point.limit = work >= in_transfer && work >= in_rounds ? ScalingLimit::work
                  : in_transfer >= in_rounds               ? ScalingLimit::bandwidth
                                                           : ScalingLimit::latency;
  }
  point.efficiency = cost.seconds / point.step_seconds;
  point.tokens_per_second = static_cast<double>(processes * cost.tokens) / point.step_seconds;
  return point;
}

}  // namespace sluice
