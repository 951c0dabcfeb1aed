#include "compare/trainers.hpp"

#include <algorithm>
#include <limits>
#include <thread>

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
  if (ranks_ == nullptr) return finished_ == waiting_.size();
  return finished_ == taken_ && halt_ == 0;
}

void Trainers::work() {
  try {
    while (true) {
      pass_on_stop();
      CompareRun* const run = take();
      if (run == nullptr) return;
      train_one(*run);
    }
  } catch (...) {
    const std::lock_guard guard(mutex_);
    if (!failure_) failure_ = std::current_exception();
    halt_ = -1;
  }
}

CompareRun* Trainers::take() {
  if (halt_ != 0) return nullptr;
  std::int64_t number = -1;
  if (ranks_ != nullptr) number = ranks_->next_number();
  const std::lock_guard guard(mutex_);
  if (number < 0) number = static_cast<std::int64_t>(taken_);
  if (halt_ != 0 || number >= static_cast<std::int64_t>(waiting_.size())) return nullptr;
  ++taken_;
  CompareRun* const run = waiting_[static_cast<std::size_t>(number)];
  fractions_[run] = 0;
  return run;
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
  // Others are taken to be as far.
  const int processes = ranks_ != nullptr ? ranks_->size() : 1;
  const double fraction = std::min(1.0, done * processes / static_cast<double>(waiting_.size()));
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
