#include "sluice/lab/inspect/inspect.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "inspect/label_measures.hpp"
#include "inspect/layer_measures.hpp"
#include "inspect/time_measures.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/base/version.hpp"
#include "utc_now.hpp"

namespace sluice {
namespace {

/// Positions per chunk of the pass that measures layers.
constexpr std::int64_t chunk = 512;

/// Measures over time take one position for so many tokens, and at most so many positions.
constexpr std::int64_t tokens_per_lag_position = 160;
constexpr std::int64_t most_lag_positions = 1'000;
constexpr std::int64_t tokens_per_context_position = 80;
constexpr std::int64_t most_context_positions = 2'000;

void check(const LanguageModel& model, const TokenShards& text, const InspectOptions& options) {
  if (options.tokens < 1 || options.most_lag < 1 || options.most_context < 1 ||
      options.lag_positions < 0 || options.context_positions < 0 || options.surprisals < 0) {
    throw UsageError(
        fmt::format("inspect: tokens, most_lag and most_context must be at least 1, numbers of "
                    "positions and surprisals at least 0; got {}, {}, {}, {}, {} and {}",
                    options.tokens, options.most_lag, options.most_context, options.lag_positions,
                    options.context_positions, options.surprisals));
  }
  if (text.size() == 0) throw Error("inspect: the text has no tokens; give it some");
  if (text.vocabulary() != model.config().vocabulary) {
    throw Error(
        fmt::format("inspect: the text was cut into tokens of a vocabulary of {} and the model has "
                    "{}; use the model's tokenizer",
                    text.vocabulary(), model.config().vocabulary));
  }
}

std::int64_t positions_of(std::int64_t asked, std::int64_t tokens, std::int64_t each,
                          std::int64_t most) {
  return asked > 0 ? asked : std::clamp<std::int64_t>(tokens / each, 1, most);
}

/// One inspection while it is being made.
class Inspector {
 public:
  Inspector(LanguageModel& model, const Tokenizer& tokenizer, const TokenShards& text,
            const InspectOptions& options)
      : model_(model),
        tokenizer_(tokenizer),
        text_(text),
        options_(options),
        documents_(text.documents() != nullptr ? *text.documents() : DocumentEnds({text.size()})),
        tokens_(std::min(options.tokens, text.size())),
        lags_(plan_lags(documents_, options.most_lag,
                        positions_of(options.lag_positions, options.tokens, tokens_per_lag_position,
                                     most_lag_positions))),
        contexts_(
            plan_contexts(documents_, options.most_context,
                          positions_of(options.context_positions, options.tokens,
                                       tokens_per_context_position, most_context_positions))) {
    cost_ = tokens_ * (options.layers ? backward_cost : 1) + (options.lags ? lags_.cost : 0) +
            (options.context ? contexts_.cost : 0) +
            label_passes(model.config()) * std::min(tokens_, most_label_tokens);
  }

  Inspection run() {
    Inspection found;
    // What is read from the beginning to the end is the leader's; others take of what comes after
    // it in the meantime.
    if (work().leads()) found.surprisal = read();
    found.version = library_version();
    found.date = utc_now();
    found.model = inspected_model();
    found.text = {.file = options_.file, .tokens = text_.size()};
    found.probed_tokens = tokens_;
    found.loss = loss_ / static_cast<double>(tokens_);
    if (options_.layers && work().leads()) {
      found.layers = layers_.layers();
      found.embedded = EmbeddedInspection{{.norm = layers_.embedded_gradient()}};
    }
    if (options_.lags) found.lags = lag_gradients();
    if (options_.context) found.context = losses_over_context();
    if (options_.layers && !model_.config().labels.empty() && work().leads()) {
      found.labels = label_gates(model_, text_, documents_, tokens_,
                                 [this](std::int64_t cost) { spend(cost, "labels"); });
    }
    return found;
  }

 private:
  PieceWork& work() { return options_.work != nullptr ? *options_.work : own_work_; }

  void spend(std::int64_t cost, std::string_view what) {
    spent_ += cost;
    if (options_.progress) {
      options_.progress(static_cast<double>(spent_) / static_cast<double>(cost_), what);
    }
  }

  void clear_gradients() {
    for (const Parameter& parameter : model_.parameters()) parameter.variable.zero_grad();
  }

  InspectedModel inspected_model() const {
    const ModelConfig& config = model_.config();
    return {.summary = config.summary(),
            .parameters = parameter_count(model_.parameters()),
            .receptive_field = model_.receptive_field(),
            .config = write_model(config)};
  }

  /// Reads the first tokens_ tokens of the text, with layers_ as the probe, and returns their
  /// surprisal.
  std::vector<TokenSurprisal> read() {
    std::vector<TokenSurprisal> surprisal;
    ModelState state;
    std::vector<TokenId> ids;
    std::vector<TokenId> targets;
    std::int64_t time = 0;
    for (std::int64_t begin = 0; begin < tokens_; begin += time) {
      const std::int64_t document = documents_.at(begin);
      if (begin == documents_.begin(document)) state = {};
      time = std::min({chunk, tokens_ - begin, documents_.end(document) - begin});
      ids.resize(static_cast<std::size_t>(time));
      targets = ids;
      text_.read_pairs(begin, time, ids.data(), targets.data());
      const std::vector<double> nll = read_chunk(ids, targets, state);
      for (std::size_t i = 0; i < nll.size(); ++i) {
        loss_ += nll[i];
        if (begin + static_cast<std::int64_t>(i) < options_.surprisals) {
          surprisal.push_back({.text = tokenizer_.token(targets[i]), .nats = nll[i]});
        }
      }
    }
    return surprisal;
  }

  std::vector<double> read_chunk(const std::vector<TokenId>& ids,
                                 const std::vector<TokenId>& targets, ModelState& state) {
    const auto time = static_cast<std::int64_t>(ids.size());
    ForwardOptions forward{.conv = ConvPath::direct};
    Tensor nll;
    if (options_.layers) {
      // A chunk's loss is the mean over its tokens; the measured loss is the mean over all tokens.
      layers_.gradient_scale = static_cast<double>(time) / static_cast<double>(tokens_);
      forward.probe = &layers_;
      Tape tape;
      tape.backward(
          model_.loss(model_.hidden(ids, 1, time, state, forward), targets, forward, &nll));
      clear_gradients();
    } else {
      const NoGrad guard;
      model_.loss(model_.hidden(ids, 1, time, state, forward), targets, forward, &nll);
    }
    spend(time * (options_.layers ? backward_cost : 1), "layers");
    return dispatch_float(nll.dtype(), [&](auto zero) {
      const auto values = nll.span<decltype(zero)>();
      return std::vector<double>(values.begin(), values.end());
    });
  }

  LagGradients lag_gradients() {
    LagGradients lags;
    lags.norm = lag_norms(
        model_, text_, lags_, [this](std::int64_t cost) { spend(cost, "lags"); }, work());
    clear_gradients();
    for (std::size_t i = 0; i < lags.norm.size(); ++i) {
      lags.k.push_back(static_cast<std::int64_t>(i));
    }
    lags.positions = static_cast<std::int64_t>(lags_.targets.size());
    return lags;
  }

  ContextLosses losses_over_context() {
    ContextLosses context;
    context.tokens = contexts_of(contexts_);
    context.loss = context_losses(
        model_, text_, contexts_, [this](std::int64_t cost) { spend(cost, "contexts"); }, work());
    for (const double loss : context.loss) context.perplexity.push_back(std::exp(loss));
    context.positions = static_cast<std::int64_t>(contexts_.targets.size());
    return context;
  }

  LanguageModel& model_;
  const Tokenizer& tokenizer_;
  const TokenShards& text_;
  const InspectOptions& options_;
  OwnWork own_work_;
  DocumentEnds documents_;
  std::int64_t tokens_;
  TimePlan lags_, contexts_;
  std::int64_t cost_ = 0, spent_ = 0;
  LayerMeasures layers_;
  double loss_ = 0;
};

}  // namespace

Inspection inspect_model(LanguageModel& model, const Tokenizer& tokenizer, const TokenShards& text,
                         const InspectOptions& options) {
  check(model, text, options);
  return Inspector(model, tokenizer, text, options).run();
}

}  // namespace sluice
