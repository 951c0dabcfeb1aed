#pragma once
// Time and signals of a run.

#include <atomic>
#include <chrono>

#include "rank_group.hpp"

namespace sluice {

/// Seconds since `start`.
inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// How long a run has taken, when it saves, and whether it is to stop. Each process has clocks and
/// signals of its own; what several decide by is the leader's, as it stood when they last agreed,
/// so that all do the same.
class RunClock {
 public:
  /// `stop`: TrainOptions::stop. It starts now.
  RunClock(RankGroup ranks, const std::atomic<int>* stop) : ranks_(ranks), stop_(stop) {}

  /// For a run that goes on: parts before this one took so many seconds.
  void add(double earlier) { earlier_ = earlier; }
  /// To be called by all processes, before each step.
  void agree();
  /// A checkpoint is saved.
  void saved() { saved_at_ = Clock::now(); }

  /// Seconds that the run has taken, by this process's clock, and those that decisions go by.
  double elapsed() const { return earlier_ + seconds_since(start_); }
  double counted() const { return ranks_.several() ? moment_.elapsed : elapsed(); }
  /// Whether it is time for a checkpoint, where no number of steps is asked for.
  bool checkpoint_due() const;
  /// The signal that asks to stop, in whichever process, or 0; and whether all are to heed one.
  int stop() const;
  bool stop_requested() const { return ranks_.several() ? moment_.stop != 0 : stop() != 0; }

 private:
  using Clock = std::chrono::steady_clock;

  int own_stop() const { return stop_ != nullptr ? stop_->load() : 0; }
  bool own_checkpoint_due() const;

  RankGroup ranks_;
  const std::atomic<int>* stop_;
  Moment moment_;
  double earlier_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point saved_at_ = start_;
};

}  // namespace sluice
