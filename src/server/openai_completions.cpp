// POST /v1/completions, as OpenAI's clients speak it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "completion_request.hpp"
#include "routes.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/text/detail/utf8.hpp"

namespace sluice::server {
namespace {

struct StreamOptions {
  bool include_usage = false;
};

struct CompletionsRequest {
  std::string model;
  std::vector<Prompt> prompt;
  std::int64_t max_tokens = 16;
  DrawFields draw;
  std::int64_t n = 1;
  std::optional<std::int64_t> best_of;
  std::vector<std::string> stop;
  std::optional<std::int64_t> seed;
  bool echo = false;
  std::optional<std::int64_t> logprobs;
  bool stream = false;
  StreamOptions stream_options;
  std::string user;
  bool suffix = false;
};

const FieldTable& stream_option_fields() {
  static const FieldTable table =
      FieldsOf<StreamOptions>().add("include_usage", &StreamOptions::include_usage);
  return table;
}

FieldCodec<StreamOptions> stream_options_codec() {
  return {"an object", "OPTIONS",
          [](const Value& value, const FieldPlace& place) {
            StreamOptions options;
            read_fields({{stream_option_fields(), options}}, value, place);
            return options;
          },
          [](const StreamOptions& options) {
            return write_fields({{stream_option_fields(), options}});
          },
          [](std::string_view text) { return Value(std::string(text)); }};
}

Value stream_options_schema() {
  Value properties, object = schema("object");
  properties.set("include_usage", schema("boolean"));
  object.set("properties", properties);
  return object;
}

Value number_or_null(float value) {
  return std::isnan(value) ? Value() : Value(fields_detail::shortest(value));
}

/// What tokens are made of a choice: an object in OpenAI's older shape.
class Logprobs {
 public:
  Logprobs(const Tokenizer& tokenizer, std::int64_t alternatives)
      : tokenizer_(tokenizer), alternatives_(alternatives) {}

  /// `offset`: characters of the answer's text before the token.
  void add(const ChoiceToken& made, std::int64_t offset) {
    const std::string label = label_of(made.previous, made.token.id);
    tokens_.emplace_back(label);
    offsets_.emplace_back(offset);
    logs_.push_back(number_or_null(made.token.log_probability));
    if (std::isnan(made.token.log_probability)) {
      top_.emplace_back();
      return;
    }
    Value top = Value::Object{};
    // Of tokens with one text the most probable stands for all.
    for (const auto& other : made.token.alternatives) {
      const std::string name = label_of(made.previous, other.id);
      if (top.find(name) == nullptr) top.set(name, number_or_null(other.log_probability));
    }
    if (top.find(label) == nullptr) top.set(label, logs_.back());
    top_.push_back(std::move(top));
  }
  void add_unknown(const ChoiceToken& made, std::int64_t offset) {
    ChoiceToken first = made;
    first.token.log_probability = std::numeric_limits<float>::quiet_NaN();
    add(first, offset);
  }

  Value take() {
    Value object;
    object.set("tokens", std::move(tokens_));
    object.set("token_logprobs", std::move(logs_));
    object.set("top_logprobs", alternatives_ > 0 ? Value(std::move(top_)) : Value());
    object.set("text_offset", std::move(offsets_));
    return object;
  }

 private:
  std::string label_of(TokenId previous, TokenId id) const {
    return token_label(tokenizer_.text_after(previous, id));
  }

  const Tokenizer& tokenizer_;
  std::int64_t alternatives_;
  Value::List tokens_, logs_, top_, offsets_;
};

class OpenAiShape : public CompletionShape {
 public:
  explicit OpenAiShape(bool usage) : usage_(usage) {}

  std::string piece(const CompletionJob& job, const ChoicePiece& piece) const override {
    Value choice;
    choice.set("index", piece.choice.index);
    choice.set("text", valid_text(piece.text));
    choice.set("logprobs", logprobs(job, piece));
    choice.set("finish_reason", piece.last ? finish_reason(piece.choice) : Value());
    return event(job, {std::move(choice)}, {});
  }

  std::string end(const CompletionJob& job) const override {
    return (usage_ ? event(job, {}, usage(job)) : "") + "data: [DONE]\n\n";
  }

  std::string whole(const CompletionJob& job,
                    const std::vector<const Choice*>& choices) const override {
    Value::List list;
    for (const Choice* choice : choices) {
      const bool echo = job.plan().echo;
      const auto kept = choice->text.kept_tokens();
      const std::string made =
          valid_text(std::string_view(choice->text.bytes()).substr(0, choice->text.certain()));
      Value object;
      object.set("index", static_cast<std::int64_t>(list.size()));
      object.set("text", echo ? choice->prompt->text + made : made);
      object.set("logprobs", logprobs(job, *choice, echo, 0, kept));
      object.set("finish_reason", finish_reason(*choice));
      list.push_back(std::move(object));
    }
    Value answer = common(job);
    answer.set("choices", std::move(list));
    answer.set("usage", usage(job));
    return json_text(answer);
  }

 private:
  static Value finish_reason(const Choice& choice) { return choice.stopped() ? "stop" : "length"; }

  static Value common(const CompletionJob& job) {
    Value answer;
    answer.set("id", job.id());
    answer.set("object", "text_completion");
    answer.set("created", job.created());
    answer.set("model", job.plan().model->name);
    return answer;
  }

  static Value usage(const CompletionJob& job) {
    const std::int64_t prompt = job.prompt_tokens(), made = job.made_tokens();
    Value usage;
    usage.set("prompt_tokens", prompt);
    usage.set("completion_tokens", made);
    usage.set("total_tokens", prompt + made);
    return usage;
  }

  std::string event(const CompletionJob& job, Value::List choices, Value usage) const {
    Value chunk = common(job);
    chunk.set("choices", std::move(choices));
    if (usage_) chunk.set("usage", std::move(usage));
    return "data: " + json_text(chunk) + "\n\n";
  }

  static Value logprobs(const CompletionJob& job, const ChoicePiece& piece) {
    return logprobs(job, piece.choice, piece.prompt, piece.first_token, piece.end_token);
  }

  /// Of the prompt's tokens, or of all where `prompt` is set, and of those made from `first` on.
  static Value logprobs(const CompletionJob& job, const Choice& choice, bool prompt,
                        std::size_t first, std::size_t end) {
    const CompletionPlan& plan = job.plan();
    if (!plan.alternatives) return {};
    Logprobs list(job.tokenizer(), *plan.alternatives);
    const std::int64_t prompt_characters = plan.echo ? count_characters(choice.prompt->text) : 0;
    if (prompt) {
      std::int64_t at = 0;
      for (const ChoiceToken& token : choice.echoed) {
        const std::int64_t offset = std::min(at, prompt_characters);
        // What clients expect of the first, although the line end before it would tell.
        if (&token == &choice.echoed.front()) {
          list.add_unknown(token, offset);
        } else {
          list.add(token, offset);
        }
        at += count_characters(job.tokenizer().text_after(token.previous, token.token.id));
      }
    }
    const std::string_view bytes = choice.text.bytes();
    std::int64_t at = prompt_characters;
    std::size_t counted = 0;
    for (std::size_t i = 0; i < std::min(end, choice.made.size()); ++i) {
      at += count_characters(bytes.substr(counted, choice.text.begin(i) - counted));
      counted = choice.text.begin(i);
      if (i >= first) list.add(choice.made[i], at);
    }
    return list.take();
  }

  bool usage_;
};

}  // namespace

const RequestTable* completions_request() {
  using Request = CompletionsRequest;
  static const RequestTable table =
      RequestOf<Request>()
          .add("model", &Request::model,
               {.help = "Name of a served model; left out: the first of them."})
          .add("prompt", &Request::prompt, prompts_codec(), prompts_schema(),
               {.help = "What to continue; left out: the start of a line."})
          .add("max_tokens", &Request::max_tokens,
               {.range = at_least(0), .help = "Tokens to make at most; 0 with echo only scores."})
          .add_all(
              [](auto& r) -> auto& { return r.draw; }, draw_fields())
          .add("n", &Request::n, {.range = at_least(1), .help = "Choices for each prompt."})
          .add("best_of", &Request::best_of,
               {.range = at_least(1),
                .help = "Candidates made for each prompt; the n most probable per token are "
                        "answered. Not with stream."})
          .add("stop", &Request::stop, stops_codec(), stops_schema(),
               {.help = "The text ends before any of these would appear."})
          .add("seed", &Request::seed,
               {.help = "The same seed and request give the same text. Left out: by chance."})
          .add("echo", &Request::echo, {.help = "Answer the prompt, too."})
          .add("logprobs", &Request::logprobs,
               {.range = between(0, static_cast<double>(EngineRequest::most_alternatives)),
                .help = "Log-probabilities of the tokens, and of this many most probable ones at "
                        "each place."})
          .add("stream", &Request::stream, {.help = "Answer in server-sent events."})
          .add("stream_options", &Request::stream_options, stream_options_codec(),
               stream_options_schema(), {.help = "include_usage: one more event with the usage."})
          .add("user", &Request::user, {.help = "Of no effect: who asks is told by the key."})
          .add("suffix", &Request::suffix, refused_codec("the models only read forwards"),
               schema("null"), {.help = "Not served."});
  return &table;
}

void handle_completions(const Call& call) {
  auto request = read_request<CompletionsRequest>(*completions_request(), call.body);
  CompletionPlan plan;
  plan.model = call.model(request.model);
  plan.choices = request.n;
  plan.candidates = request.best_of.value_or(request.n);
  if (plan.candidates < plan.choices) {
    throw RequestError(400,
                       fmt::format("request: 'best_of' must be at least n, {}, got {}",
                                   plan.choices, plan.candidates),
                       "best_of");
  }
  if (request.stream && plan.candidates > plan.choices) {
    throw RequestError(400, "request: 'best_of' above n cannot be streamed; leave out one of them",
                       "best_of");
  }
  if (request.stream_options.include_usage && !request.stream) {
    throw RequestError(400, "request: 'stream_options' are for streams; set stream, too",
                       "stream_options");
  }
  plan_draws(plan, request.draw, request.seed);
  plan.stops = std::move(request.stop);
  plan.echo = request.echo;
  plan.alternatives = request.logprobs;
  plan.stream = request.stream;
  if (request.prompt.empty()) request.prompt.push_back({.text = "", .ids = {}});
  plan_texts(plan, request.prompt, request.max_tokens, call.services.options);
  start_job(call, std::move(plan),
            std::make_unique<OpenAiShape>(request.stream_options.include_usage));
}

}  // namespace sluice::server
