// Measures of what happens inside a model (lab/inspect.hpp), on the beginning of the text that it
// is validated on.

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "claims/measure_groups.hpp"
#include "sluice/lab/compare/run.hpp"
#include "sluice/lab/inspect/inspect.hpp"

namespace sluice {
namespace {

using nlohmann::json;

/// Tokens that layers are read on; the farthest lag and the largest context, and the positions to
/// average over.
constexpr std::int64_t probed_tokens = 8192;
constexpr std::int64_t most_lag = 128, lag_positions = 64;
constexpr std::int64_t most_context = 128, context_positions = 256;
constexpr double untold = std::numeric_limits<double>::infinity();

enum class Section : std::uint8_t { layers, lags, context };

const char* section_name(Section section) {
  switch (section) {
    case Section::lags:
      return "lags";
    case Section::context:
      return "context";
    case Section::layers:
      break;
  }
  return "layers";
}

json section_of(const Measuring& measuring, const MeasuredRun& run, Section section) {
  const LoadedModel loaded = load_trained(run.directory());
  InspectOptions options;
  options.tokens = probed_tokens;
  options.layers = section == Section::layers;
  options.lags = section == Section::lags;
  options.context = section == Section::context;
  options.most_lag = most_lag;
  options.lag_positions = lag_positions;
  options.most_context = most_context;
  options.context_positions = context_positions;
  options.surprisals = 1;
  options.progress = [&](double, std::string_view) { measuring.check_stop(); };
  return inspect_model(*loaded.model, *loaded.tokenizer, *run.comparison.text().valid, options)
      .at(section_name(section));
}

/// A number of an inspection; infinite for null.
double finite_or_untold(const json& value) {
  return value.is_number() ? value.get<double>() : untold;
}

/// `value` of one section of a run's inspection, which is kept; infinite for a run that diverged.
Measure probe(const char* name, const char* unit, const char* description, Section section,
              std::function<double(const json&, double at)> value,
              EffectKind effect = EffectKind::difference) {
  Measure measure{.name = name,
                  .unit = unit,
                  .description = description,
                  .effect = effect,
                  .of_run = {},
                  .of_pair = {}};
  measure.of_run = [section, value = std::move(value)](Measuring& measuring, const MeasuredRun& run,
                                                       double at) {
    if (run.run.record.status == RunStatus::diverged) return untold;
    const std::string key =
        fmt::format("inspection of {} tokens, {}", probed_tokens, section_name(section));
    return value(measuring.kept(run, key, [&] { return section_of(measuring, run, section); }), at);
  };
  return measure;
}

/// A field of every layer, of those that have it: the mean, or exp of the mean logarithm.
double over_layers(const json& layers, const json::json_pointer& field, bool geometric) {
  double sum = 0;
  int count = 0;
  for (const json& layer : layers) {
    if (!layer.contains(field) || !layer.at(field).is_number()) continue;
    const auto value = layer.at(field).get<double>();
    sum += geometric ? std::log(value) : value;
    ++count;
  }
  if (count == 0) return untold;
  return geometric ? std::exp(sum / count) : sum / count;
}

Measure layer_mean(const char* name, const char* unit, const char* description, const char* field,
                   EffectKind effect = EffectKind::difference) {
  const json::json_pointer pointer(field);
  return probe(
      name, unit, description, Section::layers,
      [pointer, effect](const json& layers, double) {
        return over_layers(layers, pointer, effect == EffectKind::ratio);
      },
      effect);
}

double gradient_by_depth(const json& layers, double) {
  const json::json_pointer norm("/gradient/norm");
  return finite_or_untold(layers.front().at(norm)) / finite_or_untold(layers.back().at(norm));
}

double lag_gradient(const json& lags, double at) {
  const auto lag = static_cast<std::size_t>(std::max(0.0, at));
  const json& norms = lags.at("norm");
  if (lag >= norms.size() || norms.size() < 2) return untold;
  return finite_or_untold(norms[lag]) / finite_or_untold(norms[1]);
}

/// Between the contexts 1, 2, 4, .. along their logarithm.
double context_gain(const json& context, double at) {
  const json& tokens = context.at("tokens");
  const json& losses = context.at("loss");
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto right = tokens[i].get<double>();
    if (right < at) continue;
    double loss = finite_or_untold(losses[i]);
    if (i > 0 && right > at) {
      const auto left = tokens[i - 1].get<double>();
      const double share = std::log(at / left) / std::log(right / left);
      loss = finite_or_untold(losses[i - 1]) + share * (loss - finite_or_untold(losses[i - 1]));
    }
    return loss - finite_or_untold(losses.back());
  }
  return untold;
}

}  // namespace

std::vector<Measure> probe_measures() {
  Measure lag = probe("lag_gradient", "of the gradient at lag 1",
                      "norm of the gradient of a token's loss in the token vector `at` positions "
                      "earlier, over that in the one a position earlier",
                      Section::lags, lag_gradient, EffectKind::ratio);
  lag.has_at = true;
  lag.most_at = most_lag;
  lag.at = 64;
  Measure context = probe("context_gain", "nats per token",
                          "loss with a context of `at` tokens, less that with 128",
                          Section::context, context_gain);
  context.has_at = true;
  context.least_at = 1;
  context.most_at = most_context;
  context.at = 32;
  return {
      layer_mean("dead_share", "share of channels",
                 "channels of units that are 0 on all probed tokens, mean over layers",
                 "/dead_share"),
      layer_mean("saturated_share", "share of gates",
                 "gates below 0.05 or above 0.95, mean over layers", "/gate/saturated_share"),
      layer_mean("linear_gain", "of the gradient behind the unit",
                 "norm of the gradient before a unit (in its first half, where it has two) over "
                 "that behind it, geometric mean over layers",
                 "/gradient/linear_gain", EffectKind::ratio),
      layer_mean("gate_gain", "of the gradient behind the unit",
                 "norm of the gradient in a unit's second half over that behind the unit, "
                 "geometric mean over layers",
                 "/gradient/gate_gain", EffectKind::ratio),
      layer_mean("linear_share", "share of the squared gradient",
                 "share of the squared gradient that reaches the first half of units, mean over "
                 "layers",
                 "/gradient/linear_share"),
      layer_mean("gate_share", "share of the squared gradient",
                 "share of the squared gradient that reaches the second half of units, mean over "
                 "layers",
                 "/gradient/gate_share"),
      probe("gradient_by_depth", "of the last layer's gradient",
            "norm of the gradient in the first layer's output over that in the last layer's",
            Section::layers, gradient_by_depth, EffectKind::ratio),
      lag,
      context};
}

}  // namespace sluice
