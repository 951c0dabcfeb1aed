// The report's sections on an inspection: layers, gradients, reach over time, surprisal.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>

#include "report/report_page.hpp"

namespace sluice::report {
namespace {

/// A number of a layer; NaN where it has none.
using Pick = std::function<double(const LayerInspection&)>;

using Layers = std::vector<LayerInspection>;

const Layers& layers_of(const Inspection& inspection) {
  static const Layers none;
  return inspection.layers ? *inspection.layers : none;
}

double gate_mean(const LayerInspection& layer) {
  return layer.gate ? layer.gate->mean : no_measure;
}
double saturated_share(const LayerInspection& layer) {
  return layer.gate ? layer.gate->saturated_share : no_measure;
}

/// A pick of the layer's gradient or activation.
Pick pick(double LayerGradient::*field) {
  return [field](const LayerInspection& layer) { return layer.gradient.*field; };
}
Pick pick(double ActivationMoments::*field) {
  return [field](const LayerInspection& layer) { return layer.activation.*field; };
}

/// A chart of one number per layer, a series for each of `picks`; layers without it have no bar.
Chart by_layer(const Inspection& inspection, Chart chart,
               const std::vector<std::pair<std::string, Pick>>& picks) {
  chart.x = {"Layer", "layer", "category"};
  chart.keys = {"what"};
  chart.summary = fmt::format("{} of each layer, from the first to the last.", chart.y.label);
  std::size_t color = 0;
  for (const auto& [name, get] : picks) {
    Series series{.name = name, .keys = {name}, .color = color++};
    for (const LayerInspection& layer : layers_of(inspection)) {
      series.x.emplace_back(layer.name);
      series.y.push_back(get(layer));
    }
    if (std::any_of(series.y.begin(), series.y.end(), [](double y) { return std::isfinite(y); })) {
      chart.series.push_back(std::move(series));
    }
  }
  return chart;
}

/// Adds those views that have something to show.
void add_figure(Page& page, Figure figure) {
  std::erase_if(figure.views, [](const Chart& chart) { return chart.series.empty(); });
  if (!figure.views.empty()) page.add(figure);
}

Table layers_table(const Inspection& inspection) {
  Table table{.id = "layers",
              .caption = "Layers, from the first to the last",
              .columns = {{"Layer", "layer"},
                          {"Unit", "unit"},
                          {"Gate, mean", "gate_mean"},
                          {"Gate, saturated", "gate_saturated_share"},
                          {"Activation, mean", "activation_mean"},
                          {"Variance", "activation_variance"},
                          {"Dead", "dead_share"},
                          {"Gradient norm", "gradient_norm"},
                          {"Linear path", "linear_share"},
                          {"Gate path", "gate_share"}}};
  for (const LayerInspection& layer : layers_of(inspection)) {
    const LayerGradient& gradient = layer.gradient;
    const auto number = [](double value) { return Cell{value, significant(value, 3)}; };
    const auto share = [](double value) { return Cell{value, percent(value)}; };
    table.rows.push_back({{layer.name, layer.name},
                          {layer.unit, layer.unit},
                          number(gate_mean(layer)),
                          share(saturated_share(layer)),
                          number(layer.activation.mean),
                          number(layer.activation.variance),
                          share(layer.dead_share),
                          number(gradient.norm),
                          share(gradient.linear_share),
                          share(gradient.gate_share)});
  }
  return table;
}

/// A layer's gate; null when it has none.
using GateOf = std::function<const GateOpenness*(const LayerInspection&)>;

/// Openness of gates: a line of shares for each layer that `gate_of` gives one.
Chart gate_histograms(const Inspection& inspection, const std::string& id, const std::string& label,
                      const GateOf& gate_of) {
  Chart chart{
      .id = id,
      .label = label,
      .kind = ChartKind::step,
      .x = {"Openness of the gate", "openness"},
      .y = {"Share of the gates", "share", "linear", "percent"},
      .keys = {"layer"},
      .ordered = true,
      .summary = "How open the gates of each layer are: shares of the gates by openness, 0 to 1."};
  for (const LayerInspection& layer : layers_of(inspection)) {
    const GateOpenness* const gate = gate_of(layer);
    if (gate == nullptr) continue;
    Series series{.name = layer.name, .keys = {layer.name}, .color = chart.series.size()};
    const auto bins = static_cast<double>(gate->histogram.size());
    for (std::size_t i = 0; i < gate->histogram.size(); ++i) {
      series.x.emplace_back((static_cast<double>(i) + 0.5) / bins);
      series.y.push_back(gate->histogram[i]);
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

/// A view for each gate of recurrent cells; one for units, which have a single gate.
Figure gates(const Inspection& inspection) {
  Figure figure{
      "Openness of gates",
      "Shares of the gate values, in bins from closed (0) to open (1); colours run from the first "
      "layer to the last.",
      {}};
  std::vector<std::string> names;
  for (const LayerInspection& layer : layers_of(inspection)) {
    for (const GateOpenness& gate : layer.gates) {
      if (std::find(names.begin(), names.end(), gate.of) == names.end()) names.push_back(gate.of);
    }
  }
  for (const std::string& name : names) {
    figure.views.push_back(
        gate_histograms(inspection, "gates-" + slug(name), name, [name](const auto& layer) {
          const auto found =
              std::find_if(layer.gates.begin(), layer.gates.end(),
                           [&](const GateOpenness& gate) { return gate.of == name; });
          return found == layer.gates.end() ? nullptr : &*found;
        }));
  }
  if (names.empty()) {
    figure.views.push_back(gate_histograms(inspection, "gates", "Gates", [](const auto& layer) {
      return layer.gate ? &*layer.gate : nullptr;
    }));
  }
  return figure;
}

/// One line of `ys` over `xs`; none when they are empty.
Chart one_line(Chart chart, const std::vector<std::int64_t>& xs, const std::vector<double>& ys) {
  chart.kind = ChartKind::points;
  if (xs.empty()) return chart;
  chart.series.push_back({.name = chart.label, .x = {xs.begin(), xs.end()}, .y = ys});
  return chart;
}

Chart lags(const Inspection& inspection) {
  const LagGradients found = inspection.lags.value_or(LagGradients{});
  return one_line({.id = "lags",
                   .label = "Gradient",
                   .x = {"Lag k, tokens back", "lag"},
                   .y = {"‖∂loss(t) / ∂x(t−k)‖", "norm", "log"},
                   .summary = "Norm of the gradient of the loss with respect to the input k tokens "
                              "back, against k."},
                  found.k, found.norm);
}

Chart context(const Inspection& inspection, std::vector<double> ContextLosses::*values,
              const std::string& column, const std::string& label) {
  const ContextLosses found = inspection.context.value_or(ContextLosses{});
  return one_line({.id = "context-" + column,
                   .label = label,
                   .x = {"Tokens of context allowed", "tokens", "log"},
                   .y = {label, column},
                   .summary = label + " at positions that see exactly so many tokens of context."},
                  found.tokens, found.*values);
}

// -- In words

/// The layer where `get` is largest, or null when none has it.
const LayerInspection* most(const Layers& layers, const Pick& get) {
  const LayerInspection* found = nullptr;
  for (const LayerInspection& layer : layers) {
    if (!std::isfinite(get(layer))) continue;
    if (found == nullptr || get(layer) > get(*found)) found = &layer;
  }
  return found;
}

Html strong_name(const LayerInspection& layer) { return markup("<b>{}</b>", layer.name); }

void say_gates(Page& page, const Layers& layers) {
  if (const LayerInspection* const worst = most(layers, saturated_share)) {
    page.say("", markup("Gates are saturated most in {}: {} of them.", strong_name(*worst),
                        percent(saturated_share(*worst))));
  }
  const double first = layers.front().gradient.linear_share;
  const double last = layers.back().gradient.linear_share;
  if (std::isfinite(first) && std::isfinite(last) && layers.size() > 1) {
    page.say("", markup("The linear path carries {} of the gradient that reaches the two halves in "
                        "{}, the first layer, and {} in {}, the last.",
                        percent(first), strong_name(layers.front()), percent(last),
                        strong_name(layers.back())));
  }
}

void say_layers(Page& page, const Layers& layers) {
  if (layers.empty()) return;
  say_gates(page, layers);
  const auto dead = [](const LayerInspection& layer) { return layer.dead_share; };
  if (const LayerInspection* const worst = most(layers, dead)) {
    page.say("", dead(*worst) > 0
                     ? markup("Channels that are never active: {} in {}, the most of any layer.",
                              percent(dead(*worst)), strong_name(*worst))
                     : Html("No channel is dead: each is active somewhere in the text."));
  }
  const double first = layers.front().gradient.norm;
  const double last = layers.back().gradient.norm;
  if (layers.size() > 1 && std::isfinite(first) && std::isfinite(last) && last > 0) {
    page.say("", markup("The gradient at the first layer is {} times that at the last.",
                        significant(first / last, 3)));
  }
}

/// The lag beyond which the gradient stays below a tenth of its largest.
void say_lags(Page& page, const Inspection& inspection) {
  if (!inspection.lags) return;
  const LagGradients& lags = *inspection.lags;
  double top = 0;
  for (const double norm : lags.norm) top = std::isfinite(norm) ? std::max(top, norm) : top;
  if (top <= 0) return;
  std::size_t reach = 0;
  for (std::size_t i = 0; i < lags.norm.size(); ++i) {
    if (std::isfinite(lags.norm[i]) && lags.norm[i] >= top / 10) reach = i;
  }
  page.say("", reach + 1 == lags.norm.size()
                   ? markup("The loss’s gradient stays above a tenth of its largest up to the "
                            "longest lag probed, {} tokens back.",
                            lags.k[reach])
                   : markup("The loss’s gradient falls below a tenth of its largest beyond {} "
                            "tokens back.",
                            lags.k[reach]));
}

void say_context(Page& page, const Inspection& inspection) {
  if (!inspection.context || inspection.context->tokens.empty()) return;
  const std::vector<std::int64_t>& tokens = inspection.context->tokens;
  const std::vector<double>& perplexity = inspection.context->perplexity;
  const double final = perplexity.back();
  if (!std::isfinite(final)) return;
  std::size_t enough = tokens.size() - 1;
  while (enough > 0 && std::abs(perplexity[enough - 1] - final) <= 0.02 * final) --enough;
  Html text = markup("Perplexity is {} with {} token{} of context and {} with {}",
                     significant(perplexity.front()), tokens.front(),
                     tokens.front() == 1 ? "" : "s", significant(final), tokens.back());
  text += enough + 1 < tokens.size()
              ? markup("; {} are enough to come within 2% of that.", tokens[enough])
              : Html("; it still changes by more than 2% at the last step.");
  page.say("", text);
}

void add_inspection_facts(Page& page, const Inspection& inspection) {
  const std::filesystem::path file = inspection.text.file;
  page.fact("Inspected on",
            markup("{}, {} tokens probed",
                   file.filename().empty() ? file.string() : file.filename().string(),
                   count(static_cast<double>(inspection.probed_tokens))));
  page.fact("Model", inspection.model.summary);
  page.fact("Inspected", markup("{}, Sluice {}", inspection.date, inspection.version));
}

}  // namespace

void add_inspection(Page& page, const Inspection& inspection) {
  page.set_title("Inside a model");
  const Layers& layers = layers_of(inspection);
  say_layers(page, layers);
  say_lags(page, inspection);
  say_context(page, inspection);
  add_inspection_facts(page, inspection);

  page.section("layers", "Layers");
  if (!layers.empty()) page.add(layers_table(inspection));
  page.add(markup("<div class=\"beside\">\n"));
  add_figure(page, gates(inspection));
  add_figure(
      page,
      {"Activations",
       "",
       {by_layer(inspection,
                 {.id = "activation-variance",
                  .label = "Variance",
                  .kind = ChartKind::bar,
                  .y = {"Variance of activations", "value"}},
                 {{"variance", pick(&ActivationMoments::variance)}}),
        by_layer(inspection,
                 {.id = "activation-mean",
                  .label = "Mean",
                  .kind = ChartKind::bar,
                  .y = {"Mean activation", "value"}},
                 {{"mean", pick(&ActivationMoments::mean)}}),
        by_layer(inspection,
                 {.id = "shares",
                  .label = "Dead and saturated",
                  .kind = ChartKind::bar,
                  .y = {"Share", "share", "linear", "percent"}},
                 {{"dead channels", [](const LayerInspection& layer) { return layer.dead_share; }},
                  {"saturated gates", saturated_share}})}});
  page.add(markup("</div>\n"));

  page.section("gradients", "Gradients");
  page.add(markup("<div class=\"beside\">\n"));
  add_figure(
      page, {"Gradient by layer",
             "Norm of the loss’s gradient at each layer’s output; the first layer is farthest from "
             "the loss.",
             {by_layer(inspection,
                       {.id = "gradient-norm",
                        .label = "Norm",
                        .kind = ChartKind::points,
                        .y = {"Gradient norm", "norm", "log"}},
                       {{"gradient", pick(&LayerGradient::norm)}})}});
  add_figure(
      page,
      {"Linear path and gate path",
       "How the gradient that reaches the two halves of a gated unit divides between them; and "
       "what each passes on of the gradient that comes in.",
       {by_layer(inspection,
                 {.id = "gradient-shares",
                  .label = "Shares",
                  .kind = ChartKind::stack,
                  .y = {"Share of the squared gradient", "share", "linear", "percent"}},
                 {{"linear path", pick(&LayerGradient::linear_share)},
                  {"gate path", pick(&LayerGradient::gate_share)}}),
        by_layer(inspection,
                 {.id = "gradient-gains",
                  .label = "Gains",
                  .kind = ChartKind::points,
                  .y = {"‖gradient passed on‖ / ‖gradient in‖", "gain"}},
                 {{"linear path", pick(&LayerGradient::linear_gain)},
                  {"gate path", pick(&LayerGradient::gate_gain)}})}});
  page.add(markup("</div>\n"));

  page.section("time", "Reach over time");
  page.add(markup("<div class=\"beside\">\n"));
  add_figure(
      page,
      {"Gradient over lags",
       "How much the loss at a token depends on the input k tokens before it. A straight fall "
       "is a vanishing gradient.",
       {lags(inspection)}});
  add_figure(page, {"Effective context",
                    "Predictions from no more than so many tokens before them.",
                    {context(inspection, &ContextLosses::perplexity, "perplexity", "Perplexity"),
                     context(inspection, &ContextLosses::loss, "loss", "Loss, nats per token")}});
  page.add(markup("</div>\n"));
  add_surprisal(page, inspection);
}

}  // namespace sluice::report
