#include "completion_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "sluice/text/detail/utf8.hpp"

namespace sluice::server {
namespace {

constexpr std::size_t logged_text = 200;

PlannedPrompt planned(const ServedModel& model, const Prompt& prompt, std::size_t number,
                      std::size_t count) {
  const std::string field = count == 1 ? "prompt" : fmt::format("prompt[{}]", number);
  PlannedPrompt plan;
  plan.ids = tokens_of(model, prompt, field);
  const TokenId eos = model.tokenizer->eos();
  plan.text = prompt.text ? *prompt.text : valid_text(model.tokenizer->decode(plan.ids));
  // Ids that begin with a line end have what a text starts after; a text's own first line end is a
  // line, as the command generate reads it.
  if (prompt.text || plan.ids.empty() || plan.ids.front() != eos) plan.read.push_back(eos);
  plan.read.insert(plan.read.end(), plan.ids.begin(), plan.ids.end());
  return plan;
}

}  // namespace

const RequestTable& draw_fields() {
  using Draw = DrawFields;
  static const RequestTable table =
      RequestOf<Draw>()
          .add(
              "temperature", &Draw::temperature,
              {.range = between(0, 100),
               .help = "Below 1 sharpens the distribution, above 1 flattens it; 0 always takes the "
                       "most probable token."})
          .add("top_p", &Draw::top_p,
               {.range = {.least = 0, .most = 1, .least_excluded = true},
                .help = "Draw from the fewest tokens that have this much of the probability."})
          .add("top_k", &Draw::top_k,
               {.range = at_least(0),
                .help = "Draw from this many most probable tokens; 0: from all."})
          .add("min_p", &Draw::min_p,
               {.range = between(0, 1),
                .help = "Draw from tokens at least this much as probable as the most probable."})
          .add("presence_penalty", &Draw::presence_penalty,
               {.range = between(-100, 100),
                .help = "Taken from the log-probability of tokens that were made already."})
          .add("frequency_penalty", &Draw::frequency_penalty,
               {.range = between(-100, 100), .help = "The same, for each time they were made."})
          .add("logit_bias", &Draw::logit_bias, bias_codec(), bias_schema(),
               {.help = "Added to log-probabilities, by token number."});
  return table;
}

void plan_draws(CompletionPlan& plan, const DrawFields& draw, std::optional<std::int64_t> seed) {
  plan.sampling.temperature = draw.temperature;
  plan.sampling.top_p = draw.top_p;
  plan.sampling.top_k = draw.top_k;
  plan.sampling.min_p = draw.min_p;
  plan.sampling.seed =
      seed && *seed >= 0 ? static_cast<std::uint64_t>(*seed) : std::random_device{}();
  plan.rules.presence_penalty = draw.presence_penalty;
  plan.rules.frequency_penalty = draw.frequency_penalty;
  for (const auto& [id, bias] : draw.logit_bias) {
    if (id >= plan.model->model->vocabulary()) {
      throw RequestError(400,
                         fmt::format("request: 'logit_bias' names token {}, but '{}' has {} tokens",
                                     id, plan.model->name, plan.model->model->vocabulary()),
                         "logit_bias");
    }
    plan.rules.bias.push_back({id, bias});
  }
}

void plan_texts(CompletionPlan& plan, const std::vector<Prompt>& prompts, std::int64_t tokens,
                const ServerOptions& options) {
  if (tokens > options.max_tokens) {
    throw RequestError(400,
                       fmt::format("request: {} tokens are more than one request may make, {} "
                                   "(the server's limit max_tokens)",
                                   tokens, options.max_tokens),
                       "max_tokens");
  }
  plan.tokens = tokens;
  const auto choices = static_cast<std::int64_t>(prompts.size()) * plan.candidates;
  if (choices > options.max_choices) {
    throw RequestError(400,
                       fmt::format("request: prompts times n or best_of give {} choices, and one "
                                   "request may have {} (the server's limit max_choices)",
                                   choices, options.max_choices),
                       "n");
  }
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    plan.prompts.push_back(planned(*plan.model, prompts[i], i, prompts.size()));
    const auto length = static_cast<std::int64_t>(plan.prompts.back().ids.size());
    if (length > options.max_prompt) {
      throw RequestError(
          400,
          fmt::format("request: the prompt has {} tokens, and one may have {} (the server's limit "
                      "max_prompt)",
                      length, options.max_prompt),
          "prompt", "context_length_exceeded");
    }
  }
}

void start_job(const Call& call, CompletionPlan plan,
               std::unique_ptr<const CompletionShape> shape) {
  plan.key = call.key;
  RequestNote& note = call.exchange->note();
  note.model = plan.model->name;
  if (call.services.options.log_texts) {
    note.text = valid_text(plan.prompts.front().text.substr(0, logged_text));
  }
  try {
    std::make_shared<CompletionJob>(std::move(plan), std::move(shape), call.exchange,
                                    call.services.pool)
        ->start();
  } catch (const EngineBusy& error) {
    throw RequestError(429, error.what(), "", "too_many_requests");
  } catch (const EngineStopped&) {
    throw RequestError(503, "the server is ending; send the request to another, or again later");
  }
}

}  // namespace sluice::server
