#include "compare/trainers.hpp"

#include <algorithm>
#include <limits>
#include <thread>

#include "sluice/base/parallel.hpp"

namespace sluice {

bool Trainers::train(std::vector<CompareRun>& runs) {
  for (CompareRun& run : runs) {
    if (!run.done) waiting_.push_back(&run);
  }
  total_ = static_cast<std::int64_t>(runs.size());
  const auto jobs = std::min(static_cast<std::size_t>(comparison_.jobs()),
                             std::max<std::size_t>(1, waiting_.size()));
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < jobs; ++i) threads.emplace_back([this] { work(); });
    work();
  }
  if (failure_) std::rethrow_exception(failure_);
  return finished_ == waiting_.size();
}

void Trainers::work() {
  // OpenMP keeps the number of threads separately for each calling thread.
  set_thread_count(static_cast<int>(comparison_.threads()));
  try {
    while (true) {
      pass_on_stop();
      CompareRun* run = nullptr;
      {
        const std::lock_guard guard(mutex_);
        if (halt_ != 0 || next_ == waiting_.size()) return;
        run = waiting_[next_++];
        fractions_[run] = 0;
      }
      train_one(*run);
    }
  } catch (...) {
    const std::lock_guard guard(mutex_);
    if (!failure_) failure_ = std::current_exception();
    halt_ = -1;
  }
}

void Trainers::pass_on_stop() {
  if (stop_ == nullptr) return;
  if (const int signal = stop_->load(); signal != 0) halt_ = signal;
}

void Trainers::train_one(CompareRun& run) {
  RunOptions options;
  options.stop = &halt_;
  options.callbacks.stepped = [&](const TrainProgress& progress) {
    report(run, progress);
    pass_on_stop();
  };
  options.callbacks.validating = [&](double) { pass_on_stop(); };
  if (callbacks_.read) {
    options.callbacks.read = [&](std::int64_t step, std::span<const TokenId> inputs,
                                 std::span<const TokenId> targets) {
      const std::lock_guard guard(mutex_);
      callbacks_.read(run, step, inputs, targets);
    };
  }
  const auto record =
      train_run(run.plan, comparison_.text(), comparison_.directory_of(run), options);
  const std::lock_guard guard(mutex_);
  fractions_.erase(&run);
  if (!record) return;
  run.record = *record;
  run.done = true;
  ++finished_;
  if (callbacks_.trained) callbacks_.trained(run);
}

void Trainers::report(const CompareRun& run, const TrainProgress& progress) {
  if (!callbacks_.stepped) return;
  const std::lock_guard guard(mutex_);
  fractions_[&run] = progress.fraction;
  auto done = static_cast<double>(finished_);
  for (const auto& [other, fraction] : fractions_) done += fraction;
  const double fraction = done / static_cast<double>(waiting_.size());
  const double elapsed =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const auto left = static_cast<std::int64_t>(waiting_.size() - finished_);
  callbacks_.stepped({.done = total_ - left,
                      .running = static_cast<std::int64_t>(fractions_.size()),
                      .total = total_,
                      .fraction = fraction,
                      .eta = fraction > 0 ? elapsed * (1 - fraction) / fraction
                                          : std::numeric_limits<double>::infinity(),
                      .run = run,
                      .train = progress});
}

}  // namespace sluice
