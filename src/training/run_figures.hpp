#pragma once
// What the steps of a run come to: moving averages, and what is written and told of them.

#include <cstdint>
#include <string>

#include "budget.hpp"
#include "loop.hpp"
#include "sluice/inference/evaluate.hpp"
#include "sluice/training/detail/checkpoint.hpp"
#include "sluice/training/metrics.hpp"
#include "sluice/training/trainer.hpp"

namespace sluice {

/// The figures of a run, kept in its TrainState but for its speed, which is each process's own.
class RunFigures {
 public:
  /// All must outlive it. `vocabulary` is the model's.
  RunFigures(TrainState& state, const Loop& loop, const Budget& budget, std::int64_t vocabulary)
      : state_(state), loop_(loop), budget_(budget), vocabulary_(vocabulary) {}

  /// Counts a step that took so many seconds.
  void take(const Loop::Update& update, double seconds);

  /// The line of the steps since the one before, the last of which is `update`; the next begins.
  TrainLine line(const Loop::Update& update, double elapsed);
  /// Where the run stands after `update`, `fraction` of its budget used.
  TrainProgress progress(const Loop::Update& update, double fraction, double elapsed) const;
  /// What to say of a run that goes on at `rate`, when that is not what it would have been had it
  /// gone on as it was; else empty.
  std::string rate_jump(double rate) const;
  /// A validation of the state, judged.
  ValidationReport report(const EvalResult& found, bool best) const;
  static ValidationLine line(const ValidationReport& report, double elapsed);
  TrainResult result(TrainStatus status, double elapsed) const;

 private:
  /// The epoch of the last step, from 1; 0 before the first.
  std::int64_t epoch() const;
  std::int64_t tokens() const { return state_.step * loop_.tokens_per_step(); }
  double smoothed_loss() const;
  double tokens_per_second() const;
  /// ln V.
  double uniform_loss() const;

  TrainState& state_;
  const Loop& loop_;
  const Budget& budget_;
  std::int64_t vocabulary_;
  /// Seconds per step, a moving average.
  double step_seconds_ = 0;
};

}  // namespace sluice
