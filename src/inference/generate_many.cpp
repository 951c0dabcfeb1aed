#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "beam.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/detail/pass_rows.hpp"
#include "sluice/inference/generate.hpp"
#include "sluice/inference/text_builder.hpp"
#include "unknown_words.hpp"

namespace sluice {
namespace {

/// Texts submitted ahead of the one whose turn it is to be told, in multiples of those under way.
constexpr std::int64_t ahead = 4;

/// One text on its way. Its engine's thread writes it until it is done.
class Making : public EngineListener {
 public:
  Making(const Tokenizer& tokenizer, const std::string& prompt,
         const std::vector<std::string>& stops, Generation begun)
      : text_(tokenizer, prompt, stops), made_(std::move(begun)) {}

  void prompt(std::span<const EngineToken> tokens) override {
    made_.prompt_tokens.insert(made_.prompt_tokens.end(), tokens.begin(), tokens.end());
  }
  bool token(const EngineToken& token) override {
    made_.tokens.push_back(token);
    made_.log_probability += static_cast<double>(token.log_probability);
    return text_.add(token.id);
  }
  void done(const EngineResult& result) override {
    finish(result.error);
    const std::lock_guard lock(mutex_);
    done_ = true;
    ready_.notify_all();
  }

  void finish(const std::string& error) {
    text_.finish();
    made_.text = text_.take();
    made_.stop = text_.stop();
    if (text_.stopped()) made_.reason = StopReason::stop_text;
    made_.error = error;
  }
  const Generation& wait() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return done_; });
    return made_;
  }

 private:
  TextBuilder text_;
  Generation made_;
  std::mutex mutex_;
  std::condition_variable ready_;
  bool done_ = false;
};

class Many {
 public:
  Many(const std::shared_ptr<const FrozenModel>& model, const Tokenizer& tokenizer,
       const GenerateManyOptions& options)
      : model_(model), tokenizer_(tokenizer), options_(options) {}

  void draw(std::span<const std::string> prompts,
            const std::function<void(const Generation&)>& emit);
  void search(std::span<const std::string> prompts,
              const std::function<void(const Generation&)>& emit);

 private:
  /// The prompt's tokens behind the end of the line before it; none, and an error in `begun`, for
  /// what is not UTF-8.
  std::vector<TokenId> encode(const std::string& prompt, Generation& begun) const {
    try {
      tokenizer_.check_text(prompt, fmt::format("prompt {}", begun.prompt + 1));
    } catch (const Error& error) {
      begun.error = error.what();
      return {};
    }
    begun.unknown_words = detail::unknown_words(tokenizer_, prompt);
    std::vector<TokenId> ids = tokenizer_.encode_prompt(prompt);
    ids.insert(ids.begin(), tokenizer_.eos());
    return ids;
  }
  std::vector<EngineToken> echo(const std::vector<TokenId>& ids) const;

  const std::shared_ptr<const FrozenModel>& model_;
  const Tokenizer& tokenizer_;
  const GenerateManyOptions& options_;
};

void Many::draw(std::span<const std::string> prompts,
                const std::function<void(const Generation&)>& emit) {
  EngineOptions with = options_.engine;
  with.queue = std::max(with.queue, ahead * with.sessions);
  Engine engine(model_, with);
  std::deque<std::shared_ptr<Making>> under_way;
  const auto tell_first = [&] {
    emit(under_way.front()->wait());
    under_way.pop_front();
  };
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    Generation begun;
    begun.prompt = p;
    const std::vector<TokenId> ids = encode(prompts[p], begun);
    for (std::int64_t i = 0; i < options_.samples; ++i) {
      begun.sample = i;
      if (std::cmp_greater_equal(under_way.size(), ahead * with.sessions)) tell_first();
      auto making = std::make_shared<Making>(tokenizer_, ids.empty() ? std::string() : prompts[p],
                                             options_.each.stops, begun);
      under_way.push_back(making);
      if (ids.empty()) {
        making->done({.error = begun.error});
        continue;
      }
      EngineRequest request{.prompt = ids, .tokens = options_.each.tokens};
      request.sampling = options_.each.sampling;
      request.sampling.seed += static_cast<std::uint64_t>(i);
      request.rules = options_.each.rules;
      if (options_.echo) request.echo_from = 1;
      engine.submit(std::move(request), std::move(making));
    }
  }
  while (!under_way.empty()) tell_first();
}

std::vector<EngineToken> Many::echo(const std::vector<TokenId>& ids) const {
  if (ids.size() < 2) return {};
  StackState state;
  detail::PassRows pass;
  pass.add(state, std::span(ids).first(ids.size() - 1));
  const std::vector<double> nll = model_->nll(pass.read(*model_), std::span(ids).subspan(1));
  std::vector<EngineToken> told;
  for (std::size_t i = 0; i < nll.size(); ++i) {
    told.push_back({ids[i + 1], static_cast<float>(-nll[i]), {}});
  }
  return told;
}

void Many::search(std::span<const std::string> prompts,
                  const std::function<void(const Generation&)>& emit) {
  const BeamOptions with{.beam = options_.beam,
                         .tokens = options_.each.tokens,
                         .length_penalty = options_.length_penalty,
                         .rules = options_.each.rules};
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    Generation begun;
    begun.prompt = p;
    const std::vector<TokenId> ids = encode(prompts[p], begun);
    if (ids.empty()) {
      emit(begun);
      continue;
    }
    if (options_.echo) begun.prompt_tokens = echo(ids);
    const TextBuilder start(tokenizer_, prompts[p], options_.each.stops);
    const EndsText ends = [&](std::span<const std::int32_t> made) {
      TextBuilder text = start;
      for (const std::int32_t id : made) text.add(id);
      return text.stopped();
    };
    const std::vector<BeamHypothesis> best = beam_search(*model_, ids, with, ends);
    for (std::size_t i = 0; i < best.size() && std::cmp_less(i, options_.samples); ++i) {
      begun.sample = static_cast<std::int64_t>(i);
      Making making(tokenizer_, prompts[p], options_.each.stops, begun);
      for (std::size_t t = 0; t < best[i].ids.size(); ++t) {
        making.token({best[i].ids[t], best[i].log_probabilities[t], {}});
      }
      making.done({});
      Generation made = making.wait();
      made.score = best[i].score;
      emit(made);
    }
  }
}

}  // namespace

void GenerateManyOptions::validate(std::int64_t vocabulary) const {
  if (each.tokens < 0) {
    throw UsageError(
        fmt::format("generate: the number of tokens must be 0 or more, got {}", each.tokens));
  }
  if (samples < 1) {
    throw UsageError(fmt::format("generate: samples must be at least 1, got {}", samples));
  }
  if (beam < 0) {
    throw UsageError(fmt::format("generate: the beam must be 0 (none) or more, got {}", beam));
  }
  if (beam > 0 && samples > beam) {
    throw UsageError(fmt::format(
        "generate: a beam of {} has no more than {} best texts, {} were asked for; widen it", beam,
        beam, samples));
  }
  each.sampling.validate();
  each.rules.validate(vocabulary);
  engine.validate();
}

void generate_many(const std::shared_ptr<const FrozenModel>& model, const Tokenizer& tokenizer,
                   std::span<const std::string> prompts, const GenerateManyOptions& options,
                   const std::function<void(const Generation&)>& emit) {
  options.validate(model->vocabulary());
  if (tokenizer.size() != model->vocabulary()) {
    throw Error(
        fmt::format("generate: the tokenizer has {} tokens and the model {}; use the model's own",
                    tokenizer.size(), model->vocabulary()));
  }
  Many many(model, tokenizer, options);
  if (options.beam > 0) {
    many.search(prompts, emit);
  } else {
    many.draw(prompts, emit);
  }
}

}  // namespace sluice
