#include "sluice/training/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"

namespace sluice {

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names{"plateau", "cosine", "constant"};
  return names;
}

std::string_view schedule_name(ScheduleKind kind) {
  return schedule_names()[static_cast<std::size_t>(kind)];
}

ScheduleKind parse_schedule(std::string_view name) {
  return static_cast<ScheduleKind>(parse_name("schedule", name, schedule_names()));
}

void ScheduleConfig::validate() const {
  if (!(lr > 0) || !std::isfinite(lr)) {
    throw UsageError(fmt::format("lr must be positive and finite, got {}", lr));
  }
  if (warmup < 0) throw UsageError(fmt::format("warmup must not be negative, got {}", warmup));
  if (!(floor >= 0 && floor <= 1)) {
    throw UsageError(fmt::format("floor must be in [0, 1], got {}", floor));
  }
  if (!(factor > 0 && factor < 1)) {
    throw UsageError(fmt::format("factor must be in (0, 1), got {}", factor));
  }
}

Schedule::Schedule(const ScheduleConfig& config) : config_(config) { config_.validate(); }

double Schedule::rate(std::int64_t step, double progress) const {
  double rate = config_.lr * decay_;
  if (step + 1 < config_.warmup) {
    rate *= static_cast<double>(step + 1) / static_cast<double>(config_.warmup);
  }
  if (config_.kind == ScheduleKind::cosine) {
    const double angle = std::numbers::pi * std::clamp(progress, 0.0, 1.0);
    rate *= config_.floor + (1 - config_.floor) * 0.5 * (1 + std::cos(angle));
  }
  return rate;
}

void Schedule::validated(bool improved) {
  if (config_.kind == ScheduleKind::plateau && !improved) decay_ *= config_.factor;
}

}  // namespace sluice
