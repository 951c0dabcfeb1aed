#pragma once
// Texts that one request has a model score, each by a request to its engine.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http.hpp"
#include "models.hpp"
#include "services.hpp"
#include "sluice/inference/engine.hpp"

namespace sluice::server {

/// A text to score: what the model reads, the tokens from `begin` on being scored.
struct EngineText {
  std::string text;
  std::vector<TokenId> read;
  std::size_t begin = 1;
};

/// A scored text: of each token what the engine says of it.
struct ScoredText {
  const EngineText* text = nullptr;
  std::vector<EngineToken> tokens;
  /// ln p, summed over them.
  double log_probability = 0;
  /// Tokens that are not in the vocabulary.
  std::int64_t oov = 0;
  double perplexity() const;
};

/// Scores texts, some at a time, and answers when all are: with the object that `answer` makes.
class ScoreJob : public std::enable_shared_from_this<ScoreJob> {
 public:
  using MakeAnswer = std::function<Value(const ServedModel&, const std::vector<ScoredText>&)>;

  ScoreJob(std::shared_ptr<ServedModel> model, std::vector<EngineText> texts,
           std::int64_t alternatives, MakeAnswer answer);
  /// Throws RequestError as start_job() does; nothing is answered then.
  void start(const Call& call);

 private:
  class Listener;
  friend class Listener;

  void submit();
  void scored(std::size_t i, std::span<const EngineToken> tokens);
  void ended(const EngineResult& result);
  void cancel();
  void complete();

  std::shared_ptr<ServedModel> model_;
  std::vector<EngineText> texts_;
  std::int64_t alternatives_;
  MakeAnswer answer_;
  std::shared_ptr<Exchange> exchange_;
  WorkerPool* pool_ = nullptr;
  std::string key_;

  std::mutex mutex_;
  std::vector<ScoredText> scored_;
  std::vector<EngineHandle> handles_;
  std::size_t ended_ = 0;
  bool started_ = false;
  std::string error_;
  int status_ = 0;
};

/// The text's tokens with what they follow: a line end and `context`. `line_end`: the end of its
/// line is scored, too. Throws RequestError (400) for text that the tokenizer cannot take, and one
/// that is too long.
EngineText engine_text(const Call& call, const ServedModel& model, const std::string& text,
                       const std::string& context, bool line_end, const std::string& field);

}  // namespace sluice::server
