#pragma once
// How much of what a run may take is used.

#include <algorithm>
#include <cstdint>
#include <limits>

#include "sluice/training/config.hpp"

namespace sluice {

/// The budgets of a TrainConfig together: the first that is used up ends the run.
class Budget {
 public:
  /// As TrainConfig::total_steps() takes them.
  Budget(const TrainConfig& config, std::int64_t steps_per_epoch, std::int64_t tokens_per_step = 0)
      : steps_(config.total_steps(steps_per_epoch, tokens_per_step)),
        seconds_(60 * config.minutes) {}

  /// Steps in all; 0 when only time limits the run.
  std::int64_t steps() const { return steps_; }

  bool used(std::int64_t step, double elapsed) const {
    return (steps_ > 0 && step >= steps_) || (seconds_ > 0 && elapsed >= seconds_);
  }

  /// The largest used fraction of any budget, at most 1.
  double fraction(std::int64_t step, double elapsed) const {
    double used = 0;
    if (steps_ > 0) used = static_cast<double>(step) / static_cast<double>(steps_);
    if (seconds_ > 0) used = std::max(used, elapsed / seconds_);
    return std::min(used, 1.0);
  }

  /// Estimate at `step_seconds` a step.
  double seconds_left(std::int64_t step, double elapsed, double step_seconds) const {
    double left = std::numeric_limits<double>::infinity();
    if (steps_ > 0) left = static_cast<double>(steps_ - step) * step_seconds;
    if (seconds_ > 0) left = std::min(left, std::max(0.0, seconds_ - elapsed));
    return left;
  }

 private:
  std::int64_t steps_;
  double seconds_;
};

}  // namespace sluice
