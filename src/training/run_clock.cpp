#include "run_clock.hpp"

namespace sluice {
namespace {

/// Seconds between checkpoints when no number of steps is asked for.
constexpr double checkpoint_seconds = 300;

}  // namespace

void RunClock::agree() {
  if (ranks_.several()) moment_ = ranks_.agree({elapsed(), own_checkpoint_due(), own_stop()});
}

bool RunClock::own_checkpoint_due() const { return seconds_since(saved_at_) >= checkpoint_seconds; }

bool RunClock::checkpoint_due() const {
  return ranks_.several() ? moment_.checkpoint_due : own_checkpoint_due();
}

int RunClock::stop() const {
  return ranks_.several() && moment_.stop != 0 ? moment_.stop : own_stop();
}

}  // namespace sluice
