#include "score_job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "answers.hpp"
#include "request_fields.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"

namespace sluice::server {
namespace {

/// Texts of one request that the engine has at once: the others of its key wait behind them.
constexpr std::size_t most_at_once = 16;

}  // namespace

double ScoredText::perplexity() const {
  return tokens.empty() ? 1 : std::exp(-log_probability / static_cast<double>(tokens.size()));
}

class ScoreJob::Listener : public EngineListener {
 public:
  Listener(std::shared_ptr<ScoreJob> job, std::size_t text) : job_(std::move(job)), text_(text) {}
  void prompt(std::span<const EngineToken> tokens) override { job_->scored(text_, tokens); }
  bool token(const EngineToken&) override { return false; }
  void done(const EngineResult& result) override { job_->ended(result); }

 private:
  std::shared_ptr<ScoreJob> job_;
  std::size_t text_;
};

ScoreJob::ScoreJob(std::shared_ptr<ServedModel> model, std::vector<EngineText> texts,
                   std::int64_t alternatives, MakeAnswer answer)
    : model_(std::move(model)),
      texts_(std::move(texts)),
      alternatives_(alternatives),
      answer_(std::move(answer)),
      scored_(texts_.size()) {
  for (std::size_t i = 0; i < texts_.size(); ++i) scored_[i].text = &texts_[i];
  handles_.reserve(texts_.size());
}

void ScoreJob::start(const Call& call) {
  pool_ = &call.services.pool;
  key_ = call.key;
  RequestNote& note = call.exchange->note();
  note.model = model_->name;
  for (const EngineText& text : texts_) {
    note.tokens_in += static_cast<std::int64_t>(text.read.size() - text.begin);
  }
  const std::lock_guard lock(mutex_);
  try {
    while (handles_.size() < std::min(most_at_once, texts_.size())) submit();
  } catch (const EngineBusy& error) {
    status_ = 429;
    for (const EngineHandle& handle : handles_) handle.cancel();
    throw RequestError(429, error.what(), "", "too_many_requests");
  } catch (const EngineStopped&) {
    status_ = 503;
    for (const EngineHandle& handle : handles_) handle.cancel();
    throw RequestError(503, "the server is ending; send the request to another, or again later");
  }
  exchange_ = call.exchange;
  exchange_->when_gone([job = weak_from_this(), pool = pool_] {
    // Not here: the lock may be held by who waits for the engine.
    pool->add([job] {
      if (const auto open = job.lock()) open->cancel();
    });
  });
  started_ = true;
  if (ended_ == texts_.size()) complete();
}

void ScoreJob::submit() {
  const std::size_t i = handles_.size();
  EngineRequest request;
  request.prompt = texts_[i].read;
  request.alternatives = alternatives_;
  request.echo_from = static_cast<std::int64_t>(texts_[i].begin);
  request.key = key_;
  handles_.push_back(model_->engine->submit(std::move(request),
                                            std::make_shared<Listener>(shared_from_this(), i)));
}

void ScoreJob::scored(std::size_t i, std::span<const EngineToken> tokens) {
  const std::lock_guard lock(mutex_);
  ScoredText& text = scored_[i];
  for (const EngineToken& token : tokens) {
    text.log_probability += token.log_probability;
    text.oov += token.id == model_->tokenizer->unk() ? 1 : 0;
    text.tokens.push_back(token);
  }
}

void ScoreJob::ended(const EngineResult& result) {
  const std::lock_guard lock(mutex_);
  ++ended_;
  if (result.reason == EndReason::error || result.reason == EndReason::cancelled) {
    status_ = result.reason == EndReason::error ? 500 : 503;
    error_ = result.reason == EndReason::error ? result.error : "the server is ending";
  }
  if (status_ == 0 && handles_.size() < texts_.size()) {
    try {
      submit();
    } catch (const std::exception& error) {  // the engine drops what is thrown here
      status_ = 503;
      error_ = reason_of(error);
    }
  }
  if (!started_ || ended_ < handles_.size()) return;
  if (!pool_->add([job = shared_from_this()] {
        const std::lock_guard held(job->mutex_);
        job->complete();
      })) {
    complete();
  }
}

void ScoreJob::cancel() {
  const std::lock_guard lock(mutex_);
  status_ = 499;
  for (const EngineHandle& handle : handles_) handle.cancel();
}

void ScoreJob::complete() {
  const auto exchange = std::exchange(exchange_, nullptr);
  if (!exchange || exchange->gone()) return;
  if (status_ != 0) {
    exchange->respond(error_response(status_, error_));
  } else {
    exchange->respond({.body = json_text(answer_(*model_, scored_))});
  }
}

EngineText engine_text(const Call& call, const ServedModel& model, const std::string& text,
                       const std::string& context, bool line_end, const std::string& field) {
  EngineText made;
  made.text = text;
  made.read = {model.tokenizer->eos()};
  if (!context.empty()) {
    const auto before = tokens_of(model, {.text = context, .ids = {}}, "context");
    made.read.insert(made.read.end(), before.begin(), before.end());
  }
  made.begin = made.read.size();
  const auto ids = tokens_of(model, {.text = text, .ids = {}}, field);
  made.read.insert(made.read.end(), ids.begin(), ids.end());
  if (line_end) made.read.push_back(model.tokenizer->eos());
  const std::int64_t most = call.services.options.max_prompt;
  if (static_cast<std::int64_t>(made.read.size()) > most) {
    throw RequestError(400,
                       fmt::format("request: '{}' and its context have {} tokens, and may have {} "
                                   "(the server's limit max_prompt)",
                                   field, made.read.size() - 1, most),
                       field, "context_length_exceeded");
  }
  return made;
}

}  // namespace sluice::server
