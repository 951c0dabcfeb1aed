#pragma once
// Texts that one request has a model make: prompts times candidates, streamed or answered as one.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "http.hpp"
#include "models.hpp"
#include "sluice/inference/engine.hpp"
#include "sluice/inference/text_builder.hpp"
#include "worker_pool.hpp"

namespace sluice::server {

/// A prompt as it was given, and as the model reads it.
struct PlannedPrompt {
  /// Its text: as it was given, or what its tokens stand for.
  std::string text;
  std::vector<TokenId> ids;
  /// `ids` with the line end that every text starts after.
  std::vector<TokenId> read;
};

/// What is to be made, checked.
struct CompletionPlan {
  std::shared_ptr<ServedModel> model;
  std::vector<PlannedPrompt> prompts;
  std::int64_t tokens = 0;
  SamplingOptions sampling;
  TokenRules rules;
  /// Choices that are answered of each prompt, and candidates they are chosen from.
  std::int64_t choices = 1, candidates = 1;
  std::vector<std::string> stops;
  bool echo = false;
  /// Alternatives to report of each token; none: no log-probabilities.
  std::optional<std::int64_t> alternatives;
  bool stream = false;
  /// Whose request it is.
  std::string key;
};

/// A token of a choice.
struct ChoiceToken {
  TokenId previous = 0;
  EngineToken token;
};

/// One text that is made.
struct Choice {
  Choice(const ServedModel& model, const PlannedPrompt& planned, std::vector<std::string> stops);

  const PlannedPrompt* prompt;
  /// Index among the answer's choices.
  std::int64_t index = 0;
  /// The prompt's tokens, where they are reported, and those that were made.
  std::vector<ChoiceToken> echoed, made;
  TextBuilder text;
  /// Bytes of the text and tokens that were streamed.
  std::size_t sent_bytes = 0, sent_tokens = 0;
  bool prompt_sent = false;
  double log_probability = 0;
  bool done = false;
  EngineResult result;
  EngineHandle handle;

  /// The text stopped, or ran out of tokens.
  bool stopped() const { return !text.stop().empty(); }
};

class CompletionJob;

/// A part of a choice that is streamed: the prompt and its tokens, or some of the text and of the
/// tokens made.
struct ChoicePiece {
  const Choice& choice;
  bool prompt = false;
  std::string_view text;
  std::size_t first_token = 0, end_token = 0;
  bool last = false;
};

/// How an interface writes what is made. Calls come one at a time.
class CompletionShape {
 public:
  virtual ~CompletionShape() = default;
  /// What is streamed for a piece; "" for nothing.
  virtual std::string piece(const CompletionJob& job, const ChoicePiece& piece) const = 0;
  /// What ends a stream.
  virtual std::string end(const CompletionJob& job) const = 0;
  /// The whole answer, of the choices in order.
  virtual std::string whole(const CompletionJob& job,
                            const std::vector<const Choice*>& choices) const = 0;
};

/// Runs a plan. It lives as long as its requests do.
class CompletionJob : public std::enable_shared_from_this<CompletionJob> {
 public:
  CompletionJob(CompletionPlan plan, std::unique_ptr<const CompletionShape> shape,
                std::shared_ptr<Exchange> exchange, WorkerPool& pool);

  /// Throws EngineBusy, EngineStopped and UsageError as Engine::submit(); nothing runs then.
  void start();

  const CompletionPlan& plan() const { return plan_; }
  /// "cmpl-" and a number that no other has, and seconds since 1970.
  const std::string& id() const { return id_; }
  std::int64_t created() const { return created_; }
  std::int64_t prompt_tokens() const;
  std::int64_t made_tokens() const;
  const Tokenizer& tokenizer() const { return *plan_.model->tokenizer; }

 private:
  class Listener;
  friend class Listener;

  void submit(std::size_t i);
  void cancel();
  void prompt_read(std::size_t i, std::span<const EngineToken> tokens);
  bool token_made(std::size_t i, const EngineToken& token);
  void ended(std::size_t i, const EngineResult& result);
  void stream_piece(Choice& choice, bool last);
  void complete();
  std::vector<const Choice*> chosen() const;

  CompletionPlan plan_;
  std::unique_ptr<const CompletionShape> shape_;
  std::shared_ptr<Exchange> exchange_;
  WorkerPool& pool_;
  std::string id_;
  std::int64_t created_;
  std::mutex mutex_;
  std::vector<Choice> choices_;
  std::size_t running_ = 0;
  bool cancelled_ = false;
};

}  // namespace sluice::server
