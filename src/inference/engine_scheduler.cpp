#include "engine_scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include "sluice/base/error.hpp"

namespace sluice::detail {
namespace {

/// Beginnings shorter than this are read again rather than remembered or waited for.
constexpr std::size_t least_shared = 8;
/// How much larger chunks are while nobody makes tokens.
constexpr std::size_t unhurried = 4;

std::vector<double> latency_bounds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
}

std::span<const std::int32_t> prompt_of(const EngineTask& task) {
  return std::span(task.text).first(task.reads);
}

}  // namespace

EngineScheduler::EngineScheduler(const FrozenModel& model, const EngineOptions& options)
    : options_(options),
      pass_(model, options.deterministic),
      prefixes_(static_cast<std::size_t>(options.prefixes), options.prefix_bytes) {
  counters_.batch = EngineHistogram({1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024});
  counters_.first_token = EngineHistogram(latency_bounds());
  counters_.between_tokens = EngineHistogram(latency_bounds());
}

bool EngineScheduler::has_room() const {
  return paused_.empty() && running_.size() < static_cast<std::size_t>(options_.sessions);
}

void EngineScheduler::admit(std::unique_ptr<EngineTask> task) {
  running_.push_back(std::move(task));
}

std::size_t EngineScheduler::session_bytes() const {
  std::size_t sum = 0;
  for (const auto& task : running_) sum += task->bytes();
  return sum;
}

EngineScheduler::Tasks EngineScheduler::step() {
  for (Tasks* const tasks : {&running_, &paused_}) {
    for (const auto& task : *tasks) {
      if (task->cancelled()) task->end(EndReason::cancelled);
    }
  }
  const std::vector<EnginePass::Part> parts = plan();
  if (!parts.empty()) {
    std::vector<std::size_t> read;
    read.reserve(parts.size());
    for (const EnginePass::Part& part : parts) read.push_back(part.task->read);
    const std::vector<EnginePass::Told> told = pass_.run(parts);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      counters_.read_tokens += std::min(parts[i].task->read, parts[i].task->prompt_size) -
                               std::min(read[i], parts[i].task->prompt_size);
    }
    ++counters_.passes;
    counters_.batch.add(static_cast<double>(parts.size()));
    for (const EnginePass::Part& part : parts) remember(*part.task);
    for (const EnginePass::Told& each : told) tell(each);
  }
  keep_within_memory();
  return take_ended();
}

// Reads on from the longest beginning that is remembered; or waits for a request that is reading
// one that is longer.
void EngineScheduler::start(EngineTask& task) {
  if (task.leader != nullptr) {
    if (!task.leader->ended && task.leader->read < task.shared) return;
    task.leader = nullptr;
  }
  // Tokens that are to be told are predicted by rows that must be computed.
  const std::size_t longest = std::min(task.echoed, task.reads);
  const std::size_t grid = options_.deterministic ? static_cast<std::size_t>(options_.chunk) : 1;
  const PrefixCache::Entry* const entry = prefixes_.find(prompt_of(task), longest, grid);
  if (entry != nullptr && entry->text.size() > task.read) {
    task.state = entry->state;
    task.hidden = entry->hidden;
    task.read = entry->text.size();
  }
  if (follow(task)) return;
  task.started = true;
  task.result.reused_tokens = static_cast<std::int64_t>(task.read);
  counters_.reused_tokens += task.read;
  if (!prefixes_.enabled()) return;
  const std::size_t common = on_grid(prefixes_.common(prompt_of(task)), task, task);
  if (common >= least_shared && common > task.read) task.marks.push_back(common);
  if (task.reads >= least_shared && task.reads > task.read &&
      (task.marks.empty() || task.marks.back() < task.reads)) {
    task.marks.push_back(task.reads);
  }
}

// A state may be taken over only where the request itself would have had a pass's border.
std::size_t EngineScheduler::on_grid(std::size_t length, const EngineTask& a,
                                     const EngineTask& b) const {
  if (!options_.deterministic || (length == a.reads && length == b.reads)) return length;
  return length - length % static_cast<std::size_t>(options_.chunk);
}

bool EngineScheduler::follow(EngineTask& task) {
  if (!prefixes_.enabled()) return false;
  EngineTask* best = nullptr;
  std::size_t most = 0;
  for (const auto& other : running_) {
    if (other.get() == &task || other->ended || !other->started || !other->reads_prompt()) continue;
    const std::size_t common = on_grid(
        std::min(common_length(prompt_of(*other), prompt_of(task)), task.echoed), *other, task);
    if (common > most && common > other->read) {
      most = common;
      best = other.get();
    }
  }
  if (best == nullptr || most < task.read + least_shared) return false;
  const auto at = std::lower_bound(best->marks.begin(), best->marks.end(), most);
  if (at == best->marks.end() || *at != most) best->marks.insert(at, most);
  task.leader = best;
  task.shared = most;
  return true;
}

std::vector<EnginePass::Part> EngineScheduler::plan() {
  std::vector<EnginePass::Part> parts;
  std::vector<EngineTask*> reading;
  for (const auto& task : running_) {
    if (task->ended) continue;
    if (!task->started) start(*task);
    if (!task->started) continue;
    if (!task->was_read) {
      task->was_read = true;
      task->result.waiting_seconds = seconds_between(task->submitted, EngineClock::now());
    }
    if (task->reads_prompt() || (task->unread() > 1 && !options_.deterministic)) {
      reading.push_back(task.get());
    } else {
      parts.push_back({task.get(), std::min<std::size_t>(task->unread(), 1)});
    }
  }
  const auto chunk = static_cast<std::size_t>(options_.chunk);
  const bool alone = parts.empty();
  const std::size_t others = parts.size();
  if (options_.deterministic && !reading.empty() && (alone || hurried_ == 0)) {
    // A chunk of one request's, from its own grid.
    EngineTask* const task = reading[turn_++ % reading.size()];
    parts.push_back({task, std::min(chunk, task->reads - task->read)});
  } else if (!options_.deterministic) {
    share_chunk(parts, reading, alone ? unhurried * chunk : chunk - hurried_);
  }
  hurried_ = hurried_ > 0 ? 0 : hurry(parts, others);
  return parts;
}

// Who waits for a first token and needs no more than this pass for it gets it before the others,
// who make theirs in the next pass: they are many, and what is read for one is little.
std::size_t EngineScheduler::hurry(std::vector<EnginePass::Part>& parts, std::size_t others) {
  std::vector<EnginePass::Part> first;
  std::size_t tokens = 0;
  for (const EnginePass::Part& part : parts) {
    const EngineTask& task = *part.task;
    if (task.made() > 0 || !task.wants_token() || part.count < task.unread()) continue;
    first.push_back(part);
    tokens += part.count;
  }
  if (first.empty() || first.size() == parts.size() || others == 0) return 0;
  parts = std::move(first);
  return std::max<std::size_t>(tokens, 1);
}

// As many tokens for each; what short ones leave goes to the others.
void EngineScheduler::share_chunk(std::vector<EnginePass::Part>& parts,
                                  std::vector<EngineTask*>& reading, std::size_t budget) {
  const auto need = [](const EngineTask& task) {
    // A state can be remembered at the end of a part only.
    return task.marks.empty() ? task.unread()
                              : std::min(task.unread(), task.marks.front() - task.read);
  };
  if (!reading.empty()) {
    // Where there are more requests than tokens, each is the first some time.
    std::rotate(reading.begin(),
                reading.begin() + static_cast<std::ptrdiff_t>(turn_++ % reading.size()),
                reading.end());
  }
  std::stable_sort(reading.begin(), reading.end(),
                   [&](const EngineTask* a, const EngineTask* b) { return need(*a) < need(*b); });
  for (std::size_t i = 0; i < reading.size() && budget > 0; ++i) {
    const std::size_t share = std::max<std::size_t>(budget / (reading.size() - i), 1);
    const std::size_t count = std::min(need(*reading[i]), share);
    parts.push_back({reading[i], count});
    budget -= count;
  }
}

void EngineScheduler::remember(EngineTask& task) {
  while (!task.marks.empty() && task.read >= task.marks.front()) {
    if (task.read == task.marks.front() && !task.ended) {
      prefixes_.add(std::span(task.text).first(task.read), task.state, task.hidden);
    }
    task.marks.erase(task.marks.begin());
  }
}

void EngineScheduler::count_token(EngineTask& task) {
  const auto now = EngineClock::now();
  const double since = seconds_between(task.submitted, now);
  if (task.result.made_tokens++ == 0) {
    task.result.first_token_seconds = since;
    counters_.first_token.add(since);
  } else {
    counters_.between_tokens.add(seconds_between(task.last_token, now));
  }
  task.last_token = now;
  ++counters_.made_tokens;
}

void EngineScheduler::tell(const EnginePass::Told& told) {
  EngineTask& task = *told.task;
  try {
    if (!told.prompt.empty()) task.listener->prompt(told.prompt);
    if (task.ended) return;
    if (told.made) {
      count_token(task);
      const bool goes_on = task.listener->token(*told.made);
      if (task.request.end && *task.request.end == told.made->id) task.end(EndReason::end_token);
      if (!goes_on) task.end(EndReason::listener);
    }
    if (task.complete()) task.end(EndReason::length);
  } catch (const std::exception& error) {
    task.end(EndReason::error, reason_of(error));
  } catch (...) {
    task.end(EndReason::error, "engine: the request's listener failed");
  }
}

void EngineScheduler::keep_within_memory() {
  if (options_.state_bytes == 0) return;
  const std::size_t limit = options_.state_bytes;
  std::size_t bytes = session_bytes();
  prefixes_.shrink(limit > bytes ? limit - bytes : 0);
  while (bytes > limit && running_.size() > 1) {
    std::unique_ptr<EngineTask> last = std::move(running_.back());
    running_.pop_back();
    last->needs = last->bytes();
    bytes -= last->needs;
    last->forget();
    for (const auto& other : running_) {
      if (other->leader == last.get()) other->leader = nullptr;
    }
    paused_.push_back(std::move(last));
  }
  if (bytes > limit && !running_.front()->ended) {
    running_.front()->end(
        EndReason::error,
        fmt::format("engine: the request's state takes {} bytes after {} tokens and may take {}; "
                    "shorten it, or raise the limit on states",
                    bytes, running_.front()->read, limit));
  }
  while (!paused_.empty() &&
         (running_.empty() || bytes + paused_.back()->needs <= limit - limit / 8)) {
    bytes += paused_.back()->needs;
    running_.push_back(std::move(paused_.back()));
    paused_.pop_back();
  }
}

EngineScheduler::Tasks EngineScheduler::take_ended() {
  Tasks ended;
  for (Tasks* const tasks : {&running_, &paused_}) {
    for (auto& task : *tasks) {
      if (!task->ended) continue;
      // A text may be continued: where another request ends, the next may begin.
      const bool whole = task->result.reason != EndReason::error && !task->reads_prompt();
      if (whole && !options_.deterministic && task->hidden.defined() &&
          task->read >= least_shared) {
        prefixes_.add(std::span(task->text).first(task->read), task->state, task->hidden);
      }
      for (const auto& other : running_) {
        if (other != nullptr && other->leader == task.get()) other->leader = nullptr;
      }
      ended.push_back(std::move(task));
    }
    std::erase(*tasks, nullptr);
  }
  counters_.running = static_cast<std::int64_t>(size());
  counters_.session_bytes = session_bytes();
  counters_.prefix_bytes = prefixes_.bytes();
  counters_.remembered_prefixes = static_cast<std::int64_t>(prefixes_.size());
  return ended;
}

EngineScheduler::Tasks EngineScheduler::end_all(EndReason reason, const std::string& error) {
  for (Tasks* const tasks : {&running_, &paused_}) {
    for (const auto& task : *tasks) task->end(reason, error);
  }
  return take_ended();
}

void EngineScheduler::count_end(const EngineTask& task) {
  ++counters_.ended[static_cast<std::size_t>(task.result.reason)];
}

}  // namespace sluice::detail
