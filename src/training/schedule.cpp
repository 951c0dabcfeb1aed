#include "sluice/training/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "sluice/base/fields.hpp"

namespace sluice {

const EnumNames<ScheduleKind>& enum_names(ScheduleKind) {
  static const EnumNames<ScheduleKind> names("schedule", {{ScheduleKind::plateau, "plateau"},
                                                          {ScheduleKind::cosine, "cosine"},
                                                          {ScheduleKind::constant, "constant"}});
  return names;
}

const FieldTable& schedule_fields() {
  static const char* const group = "Optimizer";
  static const FieldTable table =
      FieldsOf<ScheduleConfig>()
          .add("lr", &ScheduleConfig::lr,
               {.range = above(0),
                .flag = "--lr",
                .group = group,
                .help = "learning rate (default 1 for nesterov and sgd, 0.002 for adam and adamw)"})
          .add("schedule", &ScheduleConfig::kind,
               {.flag = "--schedule",
                .group = group,
                .help = "learning rate over time: plateau (lowered when validation does not "
                        "improve), cosine or constant (default cosine)"})
          .add("warmup", &ScheduleConfig::warmup,
               {.range = at_least(0),
                .flag = "--warmup",
                .group = group,
                .help = "steps over which the rate climbs (default 0)"})
          .add("floor", &ScheduleConfig::floor,
               {.range = between(0, 1),
                .flag = "--floor",
                .group = group,
                .help = "fraction of --lr that cosine ends at (default 0.01)"})
          .add("factor", &ScheduleConfig::factor,
               {.range = {.least = 0, .most = 1, .least_excluded = true, .most_excluded = true},
                .flag = "--factor",
                .group = group,
                .help = "what plateau multiplies the rate by (default 0.5)"});
  return table;
}

void ScheduleConfig::validate() const {
  check_fields({{schedule_fields(), *this}}, {.where = "training config"});
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
