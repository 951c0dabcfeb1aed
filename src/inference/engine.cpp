#include "sluice/inference/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "engine_queue.hpp"
#include "engine_scheduler.hpp"
#include "engine_task.hpp"
#include "sluice/base/error.hpp"

namespace sluice {

using detail::EngineClock;
using detail::EngineTask;

void EngineOptions::validate() const {
  const auto least = [](const char* name, std::int64_t value, std::int64_t least_value) {
    if (value >= least_value) return;
    throw UsageError(
        fmt::format("engine: {} must be at least {}, got {}", name, least_value, value));
  };
  least("sessions", sessions, 1);
  least("queue", queue, 0);
  least("chunk", chunk, 1);
  least("prefixes", prefixes, 0);
}

void EngineRequest::validate(std::int64_t vocabulary) const {
  if (prompt.empty()) {
    throw UsageError("engine: the prompt has no token; begin it with the end of a line");
  }
  for (const std::int32_t id : prompt) {
    if (id >= 0 && id < vocabulary) continue;
    throw UsageError(fmt::format(
        "engine: the prompt's token {} is outside the model's vocabulary of {}", id, vocabulary));
  }
  if (tokens < 0) {
    throw UsageError(fmt::format("engine: tokens to make must be 0 or more, got {}", tokens));
  }
  if (alternatives < 0 || alternatives > most_alternatives) {
    throw UsageError(fmt::format("engine: alternatives must be from 0 to {}, got {}",
                                 most_alternatives, alternatives));
  }
  const auto size = static_cast<std::int64_t>(prompt.size());
  if (echo_from && (*echo_from < 0 || *echo_from > size)) {
    throw UsageError(fmt::format(
        "engine: echo_from must be from 0 to the prompt's {} tokens, got {}", size, *echo_from));
  }
  if (end && (*end < 0 || *end >= vocabulary)) {
    throw UsageError(fmt::format("engine: the end token {} is outside the model's vocabulary of {}",
                                 *end, vocabulary));
  }
  sampling.validate();
  rules.validate(vocabulary);
}

void EngineHandle::cancel() const {
  if (!state_) return;
  state_->cancelled.store(true, std::memory_order_relaxed);
  state_->any_cancelled->store(true, std::memory_order_release);
}

EngineHistogram::EngineHistogram(std::vector<double> upper_bounds)
    : bounds(std::move(upper_bounds)), counts(bounds.size() + 1) {}

void EngineHistogram::add(double value) {
  const auto at = std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin();
  ++counts[static_cast<std::size_t>(at)];
  ++count;
  sum += value;
}

struct Engine::Impl {
  Impl(std::shared_ptr<const FrozenModel> of, EngineOptions with)
      : model(std::move(of)), options(with), scheduler(*model, options) {
    counters = scheduler.counters();
    thread = std::thread([this] { work(); });
  }

  void work();
  /// Requests that begin, and those that end without having begun.
  std::vector<std::unique_ptr<EngineTask>> take_waiting(bool& stopped);
  std::vector<std::unique_ptr<EngineTask>> step();
  void finish(std::vector<std::unique_ptr<EngineTask>> ended);
  void publish(std::size_t ended);

  std::shared_ptr<const FrozenModel> model;
  EngineOptions options;
  detail::EngineScheduler scheduler;  // the thread's own

  mutable std::mutex mutex;
  std::condition_variable arrived, finished;
  detail::EngineQueue queue;
  EngineCounters counters;
  std::size_t places = 0;  ///< taken by what was accepted and has not ended
  std::size_t untold = 0;  ///< accepted and not told that they are done
  bool refusing = false, stopping = false;
  std::shared_ptr<std::atomic<bool>> any_cancelled = std::make_shared<std::atomic<bool>>(false);

  std::mutex joining;
  std::thread thread;
};

void Engine::Impl::work() {
  bool stopped = false;
  while (!stopped) {
    finish(take_waiting(stopped));
    finish(stopped ? scheduler.end_all(EndReason::cancelled) : step());
  }
}

std::vector<std::unique_ptr<EngineTask>> Engine::Impl::take_waiting(bool& stopped) {
  std::unique_lock lock(mutex);
  arrived.wait(lock, [&] { return stopping || !queue.empty() || !scheduler.idle(); });
  stopped = stopping;
  std::vector<std::unique_ptr<EngineTask>> ended;
  if (stopping || any_cancelled->exchange(false, std::memory_order_acquire)) {
    ended = queue.remove(stopping);
  }
  for (const auto& task : ended) task->end(EndReason::cancelled);
  while (!queue.empty() && scheduler.has_room()) scheduler.admit(queue.pop());
  counters.waiting = static_cast<std::int64_t>(queue.size());
  counters.running = static_cast<std::int64_t>(scheduler.size());
  return ended;
}

std::vector<std::unique_ptr<EngineTask>> Engine::Impl::step() {
  try {
    return scheduler.step();
  } catch (const std::exception& error) {
    return scheduler.end_all(EndReason::error, reason_of(error));
  }
}

void Engine::Impl::publish(std::size_t ended) {
  const std::lock_guard lock(mutex);
  places -= ended;
  const std::uint64_t accepted = counters.accepted, refused = counters.refused;
  counters = scheduler.counters();
  counters.accepted = accepted;
  counters.refused = refused;
  counters.waiting = static_cast<std::int64_t>(queue.size());
}

void Engine::Impl::finish(std::vector<std::unique_ptr<EngineTask>> ended) {
  for (const auto& task : ended) {
    task->result.seconds = detail::seconds_between(task->submitted, EngineClock::now());
    scheduler.count_end(*task);
  }
  const std::size_t count = ended.size();
  // Who is told may ask again at once.
  publish(count);
  for (auto& task : ended) {
    try {
      task->listener->done(task->result);
    } catch (...) {
      // There is nobody left who could be told.
    }
    task.reset();
  }
  if (count == 0) return;
  const std::lock_guard lock(mutex);
  untold -= count;
  if (untold == 0) finished.notify_all();
}

Engine::Engine(std::shared_ptr<const FrozenModel> model, EngineOptions options) {
  if (model == nullptr) throw UsageError("engine: there is no model");
  options.validate();
  impl_ = std::make_unique<Impl>(std::move(model), options);
}

Engine::~Engine() { stop(); }

EngineHandle Engine::submit(EngineRequest request, std::shared_ptr<EngineListener> listener) {
  if (listener == nullptr) throw UsageError("engine: a request needs a listener");
  request.validate(impl_->model->vocabulary());
  auto task = std::make_unique<EngineTask>(std::move(request), std::move(listener),
                                           impl_->model->vocabulary());
  task->handle->any_cancelled = impl_->any_cancelled;
  EngineHandle handle(task->handle);
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->refusing) throw EngineStopped("engine: it is ending and takes no more requests");
    const auto most = static_cast<std::size_t>(impl_->options.sessions + impl_->options.queue);
    if (impl_->places >= most) {
      ++impl_->counters.refused;
      throw EngineBusy(fmt::format(
          "engine: {} requests are under way or waiting, as many as may be; ask again later",
          impl_->places));
    }
    ++impl_->counters.accepted;
    ++impl_->places;
    ++impl_->untold;
    impl_->queue.push(std::move(task));
    impl_->counters.waiting = static_cast<std::int64_t>(impl_->queue.size());
  }
  impl_->arrived.notify_one();
  return handle;
}

bool Engine::drain(std::chrono::milliseconds limit) {
  std::unique_lock lock(impl_->mutex);
  impl_->refusing = true;
  return impl_->finished.wait_for(lock, limit, [&] { return impl_->untold == 0; });
}

void Engine::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->refusing = true;
    impl_->stopping = true;
  }
  impl_->arrived.notify_one();
  const std::lock_guard lock(impl_->joining);
  if (impl_->thread.joinable()) impl_->thread.join();
}

EngineCounters Engine::counters() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->counters;
}

const FrozenModel& Engine::model() const { return *impl_->model; }
const EngineOptions& Engine::options() const { return impl_->options; }

}  // namespace sluice
