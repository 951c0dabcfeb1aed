// Measures of what happens inside a model (inspect/inspect.hpp), on the beginning of the
// validation text.

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <optional>

#include "claims/measure_groups.hpp"
#include "codecs.hpp"
#include "sluice/lab/compare/run.hpp"
#include "sluice/lab/inspect/inspect.hpp"

namespace sluice {
namespace {

/// Tokens that layers are read on; the farthest lag and the largest context, and the positions to
/// average over.
constexpr std::int64_t probed_tokens = 8192;
constexpr std::int64_t most_lag = 128, lag_positions = 64;
constexpr std::int64_t most_context = 128, context_positions = 256;

/// A section of an inspection by itself: what to measure, and how it is kept.
template <class Section>
struct SectionKind {
  const char* name;
  bool InspectOptions::*wanted;
  std::optional<Section> Inspection::*found;
  Value (*write)(const Section&);
  Section (*read)(const Value&, const FieldPlace&);
};

using Layers = std::vector<LayerInspection>;

constexpr SectionKind<Layers> layers_section{"layers", &InspectOptions::layers, &Inspection::layers,
                                             layers_value, layers_from};
constexpr SectionKind<LagGradients> lags_section{"lags", &InspectOptions::lags, &Inspection::lags,
                                                 lags_value, lags_from};
constexpr SectionKind<ContextLosses> context_section{
    "context", &InspectOptions::context, &Inspection::context, context_value, context_from};

template <class Section>
Section inspect_section(const Measuring& measuring, const MeasuredRun& run,
                        const SectionKind<Section>& kind) {
  const LoadedModel loaded = load_trained(run.directory());
  InspectOptions options;
  options.tokens = probed_tokens;
  options.layers = options.lags = options.context = false;
  options.*kind.wanted = true;
  options.most_lag = most_lag;
  options.lag_positions = lag_positions;
  options.most_context = most_context;
  options.context_positions = context_positions;
  options.surprisals = 1;
  options.progress = [&](double, std::string_view) { measuring.check_stop(); };
  return *(inspect_model(*loaded.model, *loaded.tokenizer, *run.comparison.text().valid, options).*
           kind.found);
}

double finite_or_none(double value) { return std::isfinite(value) ? value : no_value; }

/// `value` of one section of a run's inspection, which is kept; infinite for a run that diverged.
template <class Section>
Measure probe(Measure measure, const SectionKind<Section>& kind,
              std::function<double(const Section&, double at)> value) {
  measure.of_run = [&kind, value = std::move(value)](Measuring& measuring, const MeasuredRun& run,
                                                     double at) {
    if (run.run.record.status == RunStatus::diverged) return no_value;
    const std::string key = fmt::format("inspection of {} tokens, {}", probed_tokens, kind.name);
    const Value kept =
        measuring.kept(run, key, [&] { return kind.write(inspect_section(measuring, run, kind)); });
    return value(kind.read(kept, in_file("measured values")), at);
  };
  return measure;
}

/// What `value` gives for the layers where it is finite: the mean, or for ratios the geometric
/// mean.
Measure layer_mean(Measure measure, const std::function<double(const LayerInspection&)>& value) {
  const bool geometric = measure.effect == EffectKind::ratio;
  return probe<Layers>(std::move(measure), layers_section,
                       [value, geometric](const Layers& layers, double) {
                         double sum = 0;
                         int count = 0;
                         for (const LayerInspection& layer : layers) {
                           const double each = value(layer);
                           if (!std::isfinite(each)) continue;
                           sum += geometric ? std::log(each) : each;
                           ++count;
                         }
                         if (count == 0) return no_value;
                         return geometric ? std::exp(sum / count) : sum / count;
                       });
}

double gradient_by_depth(const Layers& layers, double) {
  return finite_or_none(layers.front().gradient.norm) / finite_or_none(layers.back().gradient.norm);
}

double lag_gradient(const LagGradients& lags, double at) {
  const auto lag = static_cast<std::size_t>(std::max(0.0, at));
  if (lag >= lags.norm.size() || lags.norm.size() < 2) return no_value;
  return finite_or_none(lags.norm[lag]) / finite_or_none(lags.norm[1]);
}

double absolute_lag_gradient(const LagGradients& lags, double at) {
  const auto lag = static_cast<std::size_t>(std::max(0.0, at));
  return lag < lags.norm.size() ? finite_or_none(lags.norm[lag]) : no_value;
}

/// How far from 0 what a unit gives lies, in its own spread.
double off_centre(const LayerInspection& layer) {
  return std::abs(layer.activation.mean) / std::sqrt(layer.activation.variance);
}

/// Between the contexts 1, 2, 4, .. along their logarithm.
double context_gain(const ContextLosses& context, double at) {
  for (std::size_t i = 0; i < context.tokens.size(); ++i) {
    const auto right = static_cast<double>(context.tokens[i]);
    if (right < at) continue;
    double loss = finite_or_none(context.loss[i]);
    if (i > 0 && right > at) {
      const auto left = static_cast<double>(context.tokens[i - 1]);
      const double before = finite_or_none(context.loss[i - 1]);
      loss = before + std::log(at / left) / std::log(right / left) * (loss - before);
    }
    return loss - finite_or_none(context.loss.back());
  }
  return no_value;
}

}  // namespace

std::vector<Measure> probe_measures() {
  const auto measure = [](const char* name, const char* unit, const char* description,
                          EffectKind effect = EffectKind::difference) {
    return Measure{.name = name,
                   .unit = unit,
                   .description = description,
                   .effect = effect,
                   .of_run = {},
                   .of_pair = {}};
  };
  Measure lag = probe<LagGradients>(
      measure("lag_gradient", "of the gradient at lag 1",
              "norm of the gradient of a token's loss in the token vector `at` positions "
              "earlier, over that in the one a position earlier",
              EffectKind::ratio),
      lags_section, lag_gradient);
  lag.has_at = true;
  lag.most_at = most_lag;
  lag.at = 64;
  Measure absolute = probe<LagGradients>(
      measure("absolute_lag_gradient", "nats per unit of the token vector",
              "norm of the gradient of a token's loss in the token vector `at` positions earlier",
              EffectKind::ratio),
      lags_section, absolute_lag_gradient);
  absolute.has_at = true;
  absolute.most_at = most_lag;
  absolute.at = lag.at;
  Measure context =
      probe<ContextLosses>(measure("context_gain", "nats per token",
                                   "loss with a context of `at` tokens, less that with 128"),
                           context_section, context_gain);
  context.has_at = true;
  context.least_at = 1;
  context.most_at = most_context;
  context.at = 32;
  using Layer = LayerInspection;
  return {
      layer_mean(measure("dead_share", "share of channels",
                         "channels of units that are 0 on all probed tokens, mean over layers"),
                 [](const Layer& layer) { return layer.dead_share; }),
      layer_mean(measure("negative_share", "share of channels",
                         "channels whose unit reads nothing above 0 on any probed token, mean over "
                         "layers"),
                 [](const Layer& layer) { return layer.negative_share; }),
      layer_mean(measure("lost_gradient_share", "share of channels",
                         "channels that get less than a thousandth of their layer's mean gradient "
                         "(dead for learning), mean over layers"),
                 [](const Layer& layer) { return layer.gradient.lost_share; }),
      layer_mean(measure("sparsity", "share of activations",
                         "what units give that is 0, mean over layers"),
                 [](const Layer& layer) { return layer.zero_share; }),
      layer_mean(measure("mean_activation", "standard deviations",
                         "distance from 0 of the mean of what units give, in its standard "
                         "deviation, mean over layers"),
                 off_centre),
      layer_mean(
          measure("saturated_share", "share of gates",
                  "gates below 0.05 or above 0.95, mean over layers"),
          [](const Layer& layer) { return layer.gate ? layer.gate->saturated_share : no_measure; }),
      layer_mean(measure("linear_gain", "of the gradient behind the unit",
                         "norm of the gradient before a unit (in its first half, where it has two) "
                         "over that behind it, geometric mean over layers",
                         EffectKind::ratio),
                 [](const Layer& layer) { return layer.gradient.linear_gain; }),
      layer_mean(measure("gate_gain", "of the gradient behind the unit",
                         "norm of the gradient in a unit's second half over that behind the unit, "
                         "geometric mean over layers",
                         EffectKind::ratio),
                 [](const Layer& layer) { return layer.gradient.gate_gain; }),
      layer_mean(measure("linear_share", "share of the squared gradient",
                         "share of the squared gradient that reaches the first half of units, mean "
                         "over layers"),
                 [](const Layer& layer) { return layer.gradient.linear_share; }),
      layer_mean(measure("gate_share", "share of the squared gradient",
                         "share of the squared gradient that reaches the second half of units, "
                         "mean over layers"),
                 [](const Layer& layer) { return layer.gradient.gate_share; }),
      probe<Layers>(
          measure("gradient_by_depth", "of the last layer's gradient",
                  "norm of the gradient in the first layer's output over that in the last layer's",
                  EffectKind::ratio),
          layers_section, gradient_by_depth),
      lag,
      absolute,
      context};
}

}  // namespace sluice
