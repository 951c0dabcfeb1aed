#pragma once
// The threads that train the runs of a comparison.

#include <atomic>
#include <chrono>
#include <exception>
#include <map>
#include <mutex>
#include <vector>

#include "sluice/lab/compare/compare.hpp"

namespace sluice {

/// Trains Comparison::jobs() runs at a time, each with Comparison::threads() threads. The result of
/// a run does not depend on the runs beside it.
class Trainers {
 public:
  /// `ranks`: processes that share the runs; null: this one has them all.
  Trainers(const Comparison& comparison, const CompareCallbacks& callbacks,
           const std::atomic<int>* stop, Communicator* ranks)
      : comparison_(comparison), callbacks_(callbacks), stop_(stop), ranks_(ranks) {}

  /// Trains those of `runs` that are not done, of several processes those that come to this one.
  /// False when *stop ended it. When one fails the others
  /// save and stop, and its exception is thrown.
  bool train(std::vector<CompareRun>& runs);

 private:
  void work();
  /// The next run for this process; null: there is none.
  CompareRun* take();
  void train_one(CompareRun& run);
  void pass_on_stop();
  void report(const CompareRun& run, const TrainProgress& progress);

  const Comparison& comparison_;
  const CompareCallbacks& callbacks_;
  const std::atomic<int>* stop_;
  Communicator* ranks_;
  /// Asks the runs to stop: a signal's number, or -1 when another run failed.
  std::atomic<int> halt_{0};

  std::mutex mutex_;  // for all below, and for the callbacks
  std::vector<CompareRun*> waiting_;
  std::size_t taken_ = 0;
  std::size_t finished_ = 0;
  std::int64_t total_ = 0;
  std::map<const CompareRun*, double> fractions_;  // of the runs being trained
  std::exception_ptr failure_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace sluice
