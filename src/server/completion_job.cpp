#include "completion_job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <numeric>
#include <random>
#include <utility>

#include "answers.hpp"

namespace sluice::server {
namespace {

std::string next_id() {
  // Told apart from those of another start of the server.
  static const std::uint64_t start = std::random_device{}();
  static std::atomic<std::uint64_t> count{0};
  return fmt::format("cmpl-{:08x}{:08x}", start, count.fetch_add(1));
}

}  // namespace

Choice::Choice(const ServedModel& model, const PlannedPrompt& planned,
               std::vector<std::string> stops)
    : prompt(&planned),
      text(*model.tokenizer, planned.read.back(),
           // A blank that ends the prompt is no token of a word tokenizer, but it is there already.
           model.tokenizer->kind() == "word" && planned.text.ends_with(' '), std::move(stops)) {}

/// Passes on what the engine tells of one choice.
class CompletionJob::Listener : public EngineListener {
 public:
  Listener(std::shared_ptr<CompletionJob> job, std::size_t choice)
      : job_(std::move(job)), choice_(choice) {}
  void prompt(std::span<const EngineToken> tokens) override { job_->prompt_read(choice_, tokens); }
  bool token(const EngineToken& token) override { return job_->token_made(choice_, token); }
  void done(const EngineResult& result) override { job_->ended(choice_, result); }

 private:
  std::shared_ptr<CompletionJob> job_;
  std::size_t choice_;
};

CompletionJob::CompletionJob(CompletionPlan plan, std::unique_ptr<const CompletionShape> shape,
                             std::shared_ptr<Exchange> exchange, WorkerPool& pool)
    : plan_(std::move(plan)),
      shape_(std::move(shape)),
      exchange_(std::move(exchange)),
      pool_(pool),
      id_(next_id()),
      created_(std::time(nullptr)) {
  for (std::size_t p = 0; p < plan_.prompts.size(); ++p) {
    for (std::int64_t c = 0; c < plan_.candidates; ++c) {
      Choice& choice = choices_.emplace_back(*plan_.model, plan_.prompts[p], plan_.stops);
      choice.index = static_cast<std::int64_t>(p) * plan_.choices + c;
    }
  }
}

void CompletionJob::start() {
  const std::lock_guard lock(mutex_);
  try {
    for (std::size_t i = 0; i < choices_.size(); ++i) submit(i);
  } catch (...) {
    cancelled_ = true;
    for (const Choice& choice : choices_) choice.handle.cancel();
    throw;
  }
  exchange_->note().tokens_in = prompt_tokens();
  if (plan_.stream) {
    exchange_->open({.type = "text/event-stream; charset=utf-8",
                     .headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}});
  }
  exchange_->when_gone([job = weak_from_this()] {
    if (const auto open = job.lock()) open->cancel();
  });
}

void CompletionJob::submit(std::size_t i) {
  Choice& choice = choices_[i];
  EngineRequest request;
  request.prompt = choice.prompt->read;
  request.tokens = plan_.tokens;
  request.sampling = plan_.sampling;
  request.sampling.seed += i % static_cast<std::size_t>(plan_.candidates);
  request.rules = plan_.rules;
  request.alternatives = plan_.alternatives.value_or(0);
  if (plan_.echo && plan_.alternatives) {
    request.echo_from =
        static_cast<std::int64_t>(choice.prompt->read.size() - choice.prompt->ids.size());
  }
  request.key = plan_.key;
  choice.handle = plan_.model->engine->submit(std::move(request),
                                              std::make_shared<Listener>(shared_from_this(), i));
  ++running_;
}

/// Takes no lock: the engine may be waiting for one that is held by who submits.
void CompletionJob::cancel() {
  for (const Choice& choice : choices_) choice.handle.cancel();
}

void CompletionJob::prompt_read(std::size_t i, std::span<const EngineToken> tokens) {
  const std::lock_guard lock(mutex_);
  Choice& choice = choices_[i];
  for (const EngineToken& token : tokens) {
    // The first of a text has nothing before it.
    const std::size_t at =
        choice.prompt->read.size() - choice.prompt->ids.size() + choice.echoed.size();
    choice.echoed.push_back({at > 0 ? choice.prompt->read[at - 1] : tokenizer().eos(), token});
  }
}

bool CompletionJob::token_made(std::size_t i, const EngineToken& token) {
  const std::lock_guard lock(mutex_);
  Choice& choice = choices_[i];
  if (cancelled_ || exchange_->gone()) return false;
  choice.made.push_back(
      {choice.made.empty() ? choice.prompt->read.back() : choice.made.back().token.id, {}});
  if (plan_.alternatives) {
    choice.made.back().token = token;
  } else {
    choice.made.back().token.id = token.id;
  }
  choice.log_probability += token.log_probability;
  const bool on = choice.text.add(token.id);
  // The last piece goes with the reason for its end.
  if (plan_.stream && on && static_cast<std::int64_t>(choice.made.size()) < plan_.tokens) {
    stream_piece(choice, false);
  }
  return on;
}

void CompletionJob::ended(std::size_t i, const EngineResult& result) {
  const std::lock_guard lock(mutex_);
  Choice& choice = choices_[i];
  choice.result = result;
  choice.done = true;
  choice.text.finish();
  const bool useless = cancelled_ || exchange_->gone() || result.reason == EndReason::cancelled;
  if (plan_.stream && !useless && result.reason != EndReason::error) stream_piece(choice, true);
  if (--running_ > 0) return;
  if (cancelled_) return;  // whoever could not start it answers
  exchange_->note().tokens_out = made_tokens();
  // Long answers take a while to write, for which the engine is not to wait.
  if (plan_.stream || !pool_.add([job = shared_from_this()] {
        const std::lock_guard held(job->mutex_);
        job->complete();
      })) {
    complete();
  }
}

void CompletionJob::stream_piece(Choice& choice, bool last) {
  if (plan_.echo && !std::exchange(choice.prompt_sent, true)) {
    exchange_->write(
        shape_->piece(*this, {.choice = choice, .prompt = true, .text = choice.prompt->text}));
  }
  const std::string_view text = std::string_view(choice.text.bytes())
                                    .substr(0, choice.text.certain())
                                    .substr(choice.sent_bytes);
  // Tokens go with the text they begin in; at the end, all that are left.
  std::size_t end = last ? choice.text.kept_tokens() : choice.sent_tokens;
  while (!last && end < choice.text.tokens() && choice.text.begin(end) < choice.text.certain())
    ++end;
  if (text.empty() && end == choice.sent_tokens && !last) return;
  const std::string piece = shape_->piece(*this, {.choice = choice,
                                                  .text = text,
                                                  .first_token = choice.sent_tokens,
                                                  .end_token = end,
                                                  .last = last});
  choice.sent_bytes += text.size();
  choice.sent_tokens = end;
  exchange_->write(piece);
}

void CompletionJob::complete() {
  if (exchange_->gone()) {
    exchange_.reset();
    return;
  }
  const Choice* failed = nullptr;
  bool stopped = false;
  for (const Choice& choice : choices_) {
    if (choice.result.reason == EndReason::error) failed = &choice;
    stopped = stopped || choice.result.reason == EndReason::cancelled;
  }
  const RequestError error =
      failed ? RequestError(500, failed->result.error)
             : RequestError(503, "the server ended before the answer was complete");
  if (plan_.stream) {
    exchange_->write(failed || stopped ? fmt::format("data: {}\n\n", error_body(error))
                                       : shape_->end(*this));
    exchange_->close();
  } else if (failed || stopped) {
    exchange_->respond(error_response(error));
  } else {
    exchange_->respond({.body = shape_->whole(*this, chosen())});
  }
  exchange_.reset();
}

/// Of each prompt's candidates the most probable ones, by the mean of their tokens.
std::vector<const Choice*> CompletionJob::chosen() const {
  std::vector<const Choice*> all;
  const auto candidates = static_cast<std::size_t>(plan_.candidates);
  const auto mean = [](const Choice* choice) {
    return choice->made.empty()
               ? 0.0
               : choice->log_probability / static_cast<double>(choice->made.size());
  };
  for (std::size_t begin = 0; begin < choices_.size(); begin += candidates) {
    std::vector<const Choice*> of_prompt;
    for (std::size_t i = begin; i < begin + candidates; ++i) of_prompt.push_back(&choices_[i]);
    if (plan_.candidates > plan_.choices) {
      std::stable_sort(of_prompt.begin(), of_prompt.end(),
                       [&](const Choice* a, const Choice* b) { return mean(a) > mean(b); });
    }
    of_prompt.resize(static_cast<std::size_t>(plan_.choices));
    all.insert(all.end(), of_prompt.begin(), of_prompt.end());
  }
  return all;
}

std::int64_t CompletionJob::prompt_tokens() const {
  return std::accumulate(plan_.prompts.begin(), plan_.prompts.end(), std::int64_t{0},
                         [](std::int64_t sum, const PlannedPrompt& prompt) {
                           return sum + static_cast<std::int64_t>(prompt.ids.size());
                         });
}

std::int64_t CompletionJob::made_tokens() const {
  return std::accumulate(choices_.begin(), choices_.end(), std::int64_t{0},
                         [](std::int64_t sum, const Choice& choice) {
                           return sum + static_cast<std::int64_t>(choice.made.size());
                         });
}

}  // namespace sluice::server
