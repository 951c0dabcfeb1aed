// POST /completion, as llama.cpp's clients speak it.
#include <fmt/format.h>

#include "completion_request.hpp"
#include "routes.hpp"
#include "sluice/base/detail/json.hpp"

namespace sluice::server {
namespace {

/// llama.cpp's own defaults.
DrawFields llama_draws() {
  DrawFields draw;
  draw.temperature = 0.8;
  draw.top_p = 0.95;
  draw.top_k = 40;
  draw.min_p = 0.05;
  return draw;
}

struct LlamaRequest {
  std::string model;
  std::vector<Prompt> prompt;
  std::int64_t n_predict = -1;
  DrawFields draw = llama_draws();
  double typical_p = 1;
  double repeat_penalty = 1;
  std::optional<std::int64_t> seed;
  std::vector<std::string> stop;
  std::int64_t n_probs = 0;
  bool stream = false;
  bool cache_prompt = true;
};

Value::List byte_values(const std::string& bytes) {
  Value::List list;
  for (const char byte : bytes) list.emplace_back(std::int64_t{static_cast<unsigned char>(byte)});
  return list;
}

class LlamaShape : public CompletionShape {
 public:
  explicit LlamaShape(Value settings) : settings_(std::move(settings)) {}

  std::string piece(const CompletionJob& job, const ChoicePiece& piece) const override {
    Value object = piece.last ? final(job, piece.choice) : Value();
    object.set("content", valid_text(piece.text));
    object.set("index", piece.choice.index);
    object.set("stop", piece.last);
    object.set("tokens", ids(piece.choice, piece.first_token, piece.end_token));
    if (!piece.last) {
      object.set("tokens_predicted", static_cast<std::int64_t>(piece.choice.made.size()));
      object.set("tokens_evaluated", static_cast<std::int64_t>(piece.choice.prompt->ids.size()));
    }
    add_probabilities(object, job, piece.choice, piece.first_token, piece.end_token);
    return "data: " + json_text(object) + "\n\n";
  }

  std::string end(const CompletionJob&) const override { return {}; }

  std::string whole(const CompletionJob& job,
                    const std::vector<const Choice*>& choices) const override {
    Value::List list;
    for (const Choice* choice : choices) {
      const std::size_t kept = choice->text.kept_tokens();
      Value object = final(job, *choice);
      object.set(
          "content",
          valid_text(std::string_view(choice->text.bytes()).substr(0, choice->text.certain())));
      object.set("index", choice->index);
      object.set("stop", true);
      object.set("tokens", ids(*choice, 0, kept));
      add_probabilities(object, job, *choice, 0, kept);
      list.push_back(std::move(object));
    }
    return json_text(list.size() == 1 ? std::move(list.front()) : Value(std::move(list)));
  }

 private:
  static Value::List ids(const Choice& choice, std::size_t first, std::size_t end) {
    Value::List list;
    for (std::size_t i = first; i < end; ++i)
      list.emplace_back(std::int64_t{choice.made[i].token.id});
    return list;
  }

  /// What is said of a choice that has ended.
  Value final(const CompletionJob& job, const Choice& choice) const {
    const EngineResult& result = choice.result;
    const auto made = static_cast<std::int64_t>(choice.made.size());
    Value timings;
    const double reading = result.first_token_seconds - result.waiting_seconds;
    const double making = result.seconds - result.first_token_seconds;
    timings.set("prompt_n", result.prompt_tokens - result.reused_tokens);
    timings.set("prompt_ms", 1000 * reading);
    timings.set("predicted_n", made);
    timings.set("predicted_ms", 1000 * making);
    timings.set("predicted_per_second", making > 0 ? static_cast<double>(made - 1) / making : 0.0);
    Value object;
    object.set("model", job.plan().model->name);
    object.set("prompt", choice.prompt->text);
    object.set("generation_settings", settings_);
    object.set("stop_type", choice.stopped() ? "word" : "limit");
    object.set("stopping_word", choice.text.stop());
    object.set("tokens_predicted", made);
    object.set("tokens_evaluated", static_cast<std::int64_t>(choice.prompt->ids.size()));
    object.set("tokens_cached", result.reused_tokens);
    object.set("truncated", false);
    object.set("timings", std::move(timings));
    return object;
  }

  static Value probability(const Tokenizer& tokenizer, TokenId previous, TokenId id, float log) {
    const std::string bytes = tokenizer.text_after(previous, id);
    Value object;
    object.set("id", std::int64_t{id});
    object.set("token", valid_text(bytes));
    object.set("bytes", byte_values(bytes));
    object.set("logprob", fields_detail::shortest(log));
    return object;
  }

  static void add_probabilities(Value& object, const CompletionJob& job, const Choice& choice,
                                std::size_t first, std::size_t end) {
    if (!job.plan().alternatives) return;
    Value::List list;
    for (std::size_t i = first; i < end; ++i) {
      const ChoiceToken& made = choice.made[i];
      Value token =
          probability(job.tokenizer(), made.previous, made.token.id, made.token.log_probability);
      Value::List top;
      for (const auto& other : made.token.alternatives) {
        top.push_back(probability(job.tokenizer(), made.previous, other.id, other.log_probability));
      }
      token.set("top_logprobs", std::move(top));
      list.push_back(std::move(token));
    }
    object.set("completion_probabilities", std::move(list));
  }

  Value settings_;
};

}  // namespace

const RequestTable* llama_completion_request() {
  using Request = LlamaRequest;
  static const RequestTable table =
      RequestOf<Request>()
          .add("model", &Request::model,
               {.help = "Name of a served model; left out: the first of them."})
          .add("prompt", &Request::prompt, prompts_codec(), prompts_schema(),
               {.help = "What to continue."})
          .add("n_predict", &Request::n_predict,
               {.range = at_least(-1),
                .help = "Tokens to make at most; -1: as many as the server lets."})
          .add_all(
              [](auto& r) -> auto& { return r.draw; }, draw_fields())
          .add(
              "typical_p", &Request::typical_p,
              {.range = {.least = 0, .most = 1, .least_excluded = true},
               .help = "Draw from the most typical tokens that have this much of the probability."})
          .add("repeat_penalty", &Request::repeat_penalty,
               {.range = above(0),
                .help = "Multiplies log-probabilities of tokens that came before."})
          .add("seed", &Request::seed, {.help = "-1: by chance."})
          .add("stop", &Request::stop, stops_codec(), stops_schema(),
               {.help = "The text ends before any of these would appear."})
          .add("n_probs", &Request::n_probs,
               {.range = between(0, static_cast<double>(EngineRequest::most_alternatives)),
                .help = "Most probable tokens to report at each place."})
          .add("stream", &Request::stream, {.help = "Answer in server-sent events."})
          .add("cache_prompt", &Request::cache_prompt,
               {.help = "Of no effect: beginnings of prompts are always remembered."})
          .require("prompt");
  return &table;
}

void handle_llama_completion(const Call& call) {
  auto request = read_request<LlamaRequest>(*llama_completion_request(), call.body);
  CompletionPlan plan;
  plan.model = call.model(request.model);
  plan_draws(plan, request.draw, request.seed);
  plan.sampling.typical = request.typical_p;
  plan.rules.repetition_penalty = request.repeat_penalty;
  plan.stops = request.stop;
  if (request.n_probs > 0) plan.alternatives = request.n_probs;
  plan.stream = request.stream;
  const ServerOptions& options = call.services.options;
  plan_texts(plan, request.prompt, request.n_predict < 0 ? options.max_tokens : request.n_predict,
             options);
  // What was drawn with, the seed that chance gave included.
  request.seed = static_cast<std::int64_t>(plan.sampling.seed);
  request.prompt.clear();
  Value settings = write_fields({{llama_completion_request()->fields, request}});
  start_job(call, std::move(plan), std::make_unique<LlamaShape>(std::move(settings)));
}

}  // namespace sluice::server
