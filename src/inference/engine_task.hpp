#pragma once
// A request on its way through an engine.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sluice/inference/engine.hpp"

namespace sluice {

/// What a handle and a request share.
struct EngineHandle::State {
  std::atomic<bool> cancelled{false};
  /// Set with any request's: the engine then looks for those that wait.
  std::shared_ptr<std::atomic<bool>> any_cancelled;
};

namespace detail {

using EngineClock = std::chrono::steady_clock;

inline double seconds_between(EngineClock::time_point begin, EngineClock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

/// A request, what was read and made for it, and what it waits for. Only the engine's thread
/// touches it once it is admitted.
struct EngineTask {
  EngineTask(EngineRequest asked, std::shared_ptr<EngineListener> told, std::int64_t vocabulary)
      : request(std::move(asked)),
        listener(std::move(told)),
        handle(std::make_shared<EngineHandle::State>()),
        text(std::move(request.prompt)),
        prompt_size(text.size()),
        reads(request.echo_from && request.tokens == 0 && prompt_size > 1 ? prompt_size - 1
                                                                          : prompt_size),
        echoed(std::min(static_cast<std::size_t>(
                            request.echo_from.value_or(static_cast<std::int64_t>(prompt_size))),
                        prompt_size)),
        sampler(request.sampling, request.rules, text, vocabulary) {
    result.prompt_tokens = static_cast<std::int64_t>(prompt_size);
  }

  bool cancelled() const { return handle->cancelled.load(std::memory_order_relaxed); }
  std::size_t made() const { return text.size() - prompt_size; }
  bool wants_token() const { return static_cast<std::int64_t>(made()) < request.tokens; }
  bool reads_prompt() const { return read < reads; }
  /// Tokens that wait to be read; 0 when the next one is to be chosen first.
  std::size_t unread() const {
    if (reads_prompt()) return reads - read;
    return wants_token() ? text.size() - read : 0;
  }
  /// Whether all is told that was asked for.
  bool complete() const { return !reads_prompt() && echoed >= prompt_size && !wants_token(); }
  std::size_t bytes() const { return state.bytes() + (hidden.defined() ? hidden.bytes() : 0); }

  void end(EndReason reason, std::string error = {}) {
    if (ended) return;
    ended = true;
    result.reason = reason;
    result.error = std::move(error);
  }
  /// Gives its memory back; what was read is read again.
  void forget() {
    state = {};
    hidden = Tensor();
    marks.clear();
    leader = nullptr;
    read = 0;
    started = false;
  }

  EngineRequest request;  ///< its prompt moved to `text`
  std::shared_ptr<EngineListener> listener;
  std::shared_ptr<EngineHandle::State> handle;
  std::vector<std::int32_t> text;  ///< the prompt and the tokens made
  std::size_t prompt_size;
  /// Tokens of the prompt that are read: its last only where something follows.
  std::size_t reads;
  /// Tokens of the prompt before this place are reported, or not asked for.
  std::size_t echoed;
  TextSampler sampler;

  StackState state;
  std::size_t read = 0;  ///< tokens of `text` that `state` has read
  Tensor hidden;         ///< [1, H] behind text[read - 1], while something is to be told from it
  bool started = false;  ///< whether remembered beginnings were looked for
  /// Where in the prompt its state is to be remembered, ascending.
  std::vector<std::size_t> marks;
  /// A request that is reading the same beginning, and where it will be remembered; null: none.
  const EngineTask* leader = nullptr;
  std::size_t shared = 0;
  /// What its state took when it was made to wait for memory.
  std::size_t needs = 0;

  bool ended = false;
  EngineResult result;
  EngineClock::time_point submitted = EngineClock::now();
  EngineClock::time_point last_token;
  bool was_read = false;  ///< whether a pass has read for it
};

}  // namespace detail
}  // namespace sluice
