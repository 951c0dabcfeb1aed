#pragma once
// Learning rates over time.

#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"

SLUICE_API_BEGIN
namespace sluice {

class FieldTable;

enum class ScheduleKind : std::uint8_t { plateau, cosine, constant };

/// "plateau", "cosine", "constant".
const EnumNames<ScheduleKind>& enum_names(ScheduleKind);

struct ScheduleConfig {
  ScheduleKind kind = ScheduleKind::cosine;
  /// The learning rate before any decay.
  double lr = 1;
  /// Steps over which the rate climbs linearly: step s (from 0) has (s + 1) / warmup of it.
  std::int64_t warmup = 0;
  /// cosine: the fraction of `lr` it ends at.
  double floor = 0.01;
  /// plateau: what the rate is multiplied by when a validation does not improve on the best.
  double factor = 0.5;

  /// Throws UsageError naming the first value that is out of range.
  void validate() const;
  bool operator==(const ScheduleConfig&) const = default;
};

/// Its fields (base/fields.hpp), `kind` as "schedule".
const FieldTable& schedule_fields();

/// lr · min(1, (s + 1) / warmup) · d, where d is
///   constant  1
///   cosine    floor + (1 - floor) · ½(1 + cos(π·progress))   (Loshchilov & Hutter 2017, eq. 5)
///   plateau   factor ^ (validations that did not improve on the best so far)
///
/// One thread at a time.
class Schedule {
 public:
  /// Throws UsageError for an invalid config.
  explicit Schedule(const ScheduleConfig& config);

  /// The rate for step s >= 0, `progress` in [0, 1] of the way through the budget.
  double rate(std::int64_t step, double progress) const;
  /// Tells the schedule that a validation has taken place, and whether it was the best so far.
  void validated(bool improved);

  /// The plateau's d: all there is to save.
  double decay() const { return decay_; }
  void set_decay(double decay) { decay_ = decay; }

 private:
  ScheduleConfig config_;
  double decay_ = 1;
};

}  // namespace sluice
SLUICE_API_END
