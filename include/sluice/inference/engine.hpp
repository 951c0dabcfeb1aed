#pragma once
// Many texts at once over one model: requests join and leave between steps.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/sample.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A request that is refused because as many wait as may (EngineOptions::queue): ask again later.
class EngineBusy : public Error {
 public:
  using Error::Error;
};
/// A request that is refused because the engine was told to end (drain() or stop()).
class EngineStopped : public Error {
 public:
  using Error::Error;
};

/// How an engine shares a machine between requests.
struct EngineOptions {
  /// Requests that are read and continued side by side, at most; >= 1. The others wait.
  std::int64_t sessions = 32;
  /// Requests that wait for their turn, at most; >= 0. One more is refused with EngineBusy.
  std::int64_t queue = 1024;
  /// Tokens of prompts that one pass reads, at most, of all requests together; >= 1. A request that
  /// makes tokens waits for this many tokens of others' prompts at most between two of them. Where
  /// a first token needs no more than a pass, it comes in a pass before the others' next ones.
  std::int64_t chunk = 128;
  /// Beginnings of prompts that are remembered, at most, each with its state (0: none). A request
  /// whose prompt begins with one reads on from there. Those that were not used for the longest
  /// time go first.
  std::int64_t prefixes = 64;
  /// Bytes of their states, at most.
  std::size_t prefix_bytes = std::size_t{256} << 20;
  /// Bytes that states may take, those of requests and of remembered beginnings together; 0: no
  /// limit. When they are exceeded, remembered beginnings go first; then the latest requests wait
  /// for others to end, and are read again; one that needs more by itself ends with an error, the
  /// others unharmed.
  std::size_t state_bytes = 0;
  /// Whether what a request gets is bit for bit the same whoever else is there. Without, products
  /// over other numbers of rows may round differently: log-probabilities then differ by at most
  /// 1e-4 for float32 and int8 weights, 0.05 for bfloat16, and where two tokens are that close,
  /// another may be drawn. With it, passes have one size whatever the number of requests, and
  /// prompts are read by themselves, which costs time where there are few requests.
  bool deterministic = false;

  /// Throws UsageError for a value out of range.
  void validate() const;
};

/// What is asked of an engine: a prompt to read, of whose tokens log-probabilities may be wanted,
/// and tokens to make. Scoring a text is a request that makes none: `prompt` the text with what is
/// before it, `echo_from` the place of its first token.
struct EngineRequest {
  /// Token ids, at least one: for the start of a text, its tokenizer's eos().
  std::vector<std::int32_t> prompt = {};
  /// Tokens to make, at most; >= 0.
  std::int64_t tokens = 0;
  /// How tokens are drawn, and what is done to their probabilities before. What is reported are the
  /// model's log-probabilities, before all this.
  SamplingOptions sampling = {};
  TokenRules rules = {};
  /// The token that ends the text, made and reported as the last; none: only `tokens` ends it.
  std::optional<std::int32_t> end = {};
  /// Of every token, the most probable ones at its place are reported, this many; 0 to
  /// most_alternatives.
  std::int64_t alternatives = 0;
  /// The prompt's tokens from this place on are reported with their log-probabilities; 0 <=
  /// echo_from <= prompt.size(). The first token of all has none.
  std::optional<std::int64_t> echo_from = {};
  /// Whose request it is: the waiting ones of different keys take turns.
  std::string key = {};

  static constexpr std::int64_t most_alternatives = 20;
  /// Throws UsageError for a value out of range, naming the field.
  void validate(std::int64_t vocabulary) const;
};

/// A token, how probable it was, and what else was.
struct EngineToken {
  struct Alternative {
    std::int32_t id = 0;
    float log_probability = 0;
  };

  std::int32_t id = 0;
  /// ln p(id | everything before it); NaN for the first token of a prompt, which nothing is before.
  float log_probability = std::numeric_limits<float>::quiet_NaN();
  /// The most probable tokens, most probable first, of equals the lower id; as many as the request
  /// asks for (fewer when the vocabulary has fewer; none for the first token of a prompt). Where
  /// the token is among them its log-probability is the same float as above.
  std::vector<Alternative> alternatives;
  /// The token's place among all by probability, from 1, of equals the lower id first; 0 where no
  /// alternatives are asked for, and for the first token of a prompt.
  std::int64_t rank = 0;
};

/// Why a request ended.
enum class EndReason : std::uint8_t {
  length,     ///< all tokens that were asked for were made
  end_token,  ///< EngineRequest::end was made
  listener,   ///< the listener wanted no more
  cancelled,  ///< EngineHandle::cancel() or Engine::stop()
  error,      ///< EngineResult::error says what happened
};

/// How a request ended.
struct EngineResult {
  EndReason reason = EndReason::length;
  /// One sentence, for EndReason::error.
  std::string error;
  std::int64_t prompt_tokens = 0;
  /// Of these, those that were not read again because another prompt began with them.
  std::int64_t reused_tokens = 0;
  std::int64_t made_tokens = 0;
  /// From submit() to the first pass that read for the request, to its first token made (0 when
  /// none was), and to its end.
  double waiting_seconds = 0;
  double first_token_seconds = 0;
  double seconds = 0;
};

/// What a request's owner is told. All calls for one request come one after another, from a thread
/// of the engine, which waits meanwhile: they should hand things on rather than do them. They may
/// submit and cancel requests, but not wait for one, nor for the engine. A call that throws ends
/// its request with EndReason::error.
class EngineListener {
 public:
  virtual ~EngineListener() = default;
  /// Tokens of the prompt from EngineRequest::echo_from on, in order, some at a time.
  virtual void prompt(std::span<const EngineToken> /*tokens*/) {}
  /// A token was made. Returns whether to go on.
  virtual bool token(const EngineToken& token) = 0;
  /// The last call for the request; there is always one.
  virtual void done(const EngineResult& result) = 0;
};

/// A request that was submitted. Copies are handles of the same one; all members may be called from
/// any thread, also when the engine is gone.
class EngineHandle {
 public:
  struct State;
  EngineHandle() = default;
  explicit EngineHandle(std::shared_ptr<State> state) : state_(std::move(state)) {}

  /// The request ends before its next token, with EndReason::cancelled, unless it has ended.
  void cancel() const;

 private:
  std::shared_ptr<State> state_;
};

/// Counts of values in ranges: counts[i] of those <= bounds[i] that no earlier bound has, the last
/// of those above all bounds.
struct EngineHistogram {
  std::vector<double> bounds;
  std::vector<std::uint64_t> counts;
  std::uint64_t count = 0;
  double sum = 0;

  explicit EngineHistogram(std::vector<double> upper_bounds = {});
  void add(double value);
};

/// What an engine does now, and did since it was made.
struct EngineCounters {
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  std::int64_t remembered_prefixes = 0;
  /// Bytes of the states of running requests, and of remembered beginnings.
  std::size_t session_bytes = 0;
  std::size_t prefix_bytes = 0;
  /// Requests that were accepted, refused (EngineBusy), and that ended, by EndReason.
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;
  std::uint64_t ended[5] = {};
  /// Tokens of prompts that were read and that were known already; tokens made.
  std::uint64_t read_tokens = 0;
  std::uint64_t reused_tokens = 0;
  std::uint64_t made_tokens = 0;
  std::uint64_t passes = 0;
  /// Requests of each pass; seconds from submit() to a request's first token, and between its
  /// tokens.
  EngineHistogram batch;
  EngineHistogram first_token;
  EngineHistogram between_tokens;
};

/// Runs requests over one model with continuous batching: those that are under way make one token
/// each in every pass, long prompts are read in chunks beside them, what prompts share at their
/// beginning is read once. One thread of its own computes, with the threads of parallel_for. Safe
/// to call from any number of threads.
class Engine {
 public:
  /// `model` must not be null. Throws UsageError for options out of range.
  explicit Engine(std::shared_ptr<const FrozenModel> model, EngineOptions options = {});
  /// stop().
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Queues a request; returns at once. The listener, not null, is held until its done() returned.
  /// Throws UsageError for a request that no engine over this model could serve, EngineBusy or
  /// EngineStopped for one that this engine does not take now: done() is then not called.
  EngineHandle submit(EngineRequest request, std::shared_ptr<EngineListener> listener);

  /// Refuses requests from now on and waits until those it has have ended, or `limit` is over.
  /// Returns whether none is left.
  bool drain(std::chrono::milliseconds limit);
  /// Refuses requests from now on, cancels those it has, and returns when all are told and its
  /// thread has ended. Not to be called by a listener.
  void stop();

  /// A consistent copy.
  EngineCounters counters() const;
  const FrozenModel& model() const;
  const EngineOptions& options() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
SLUICE_API_END
