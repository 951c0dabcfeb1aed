// The report's sections on an inspection: layers, gradients, reach over time, surprisal.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>

#include "report/report_page.hpp"

namespace sluice::report {
namespace {

using nlohmann::json;

using Pick = std::function<json(const json&)>;

/// object[a][b], null where there is none.
json pick(const json& object, const char* a, const char* b) {
  const auto part = object.find(a);
  if (part == object.end() || !part->is_object()) return {};
  return part->value(b, json());
}

const json& layers_of(const json& inspection) {
  static const json none = json::array();
  const json& layers = inspection.at("layers");
  return layers.is_null() ? none : layers;
}

/// A chart of one number per layer, a series for each of `picks`; layers without it have no bar.
Chart by_layer(const json& inspection, ChartKind kind, const std::string& id,
               const std::string& label, const Axis& y,
               const std::vector<std::pair<std::string, Pick>>& picks) {
  Chart chart{.id = id,
              .label = label,
              .kind = kind,
              .x = {"Layer", "layer", "category"},
              .y = y,
              .keys = {"what"},
              .summary = fmt::format("{} of each layer, from the first to the last.", y.label)};
  std::size_t color = 0;
  for (const auto& [name, get] : picks) {
    Series series{.name = name, .color = color++};
    series.keys = {name};
    bool any = false;
    for (const json& layer : layers_of(inspection)) {
      const json value = get(layer);
      any = any || value.is_number();
      series.x.push_back(layer.at("name"));
      series.y.push_back(value);
    }
    if (any) chart.series.push_back(std::move(series));
  }
  return chart;
}

Pick picker(const char* a, const char* b) {
  return [a, b](const json& layer) { return pick(layer, a, b); };
}

/// Adds those views that have something to show.
void add_figure(Page& page, Figure figure) {
  std::erase_if(figure.views, [](const Chart& chart) { return chart.series.empty(); });
  if (!figure.views.empty()) page.add(figure);
}

Table layers_table(const json& inspection) {
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
  for (const json& layer : layers_of(inspection)) {
    const auto name = layer.at("name").get<std::string>();
    const auto unit = layer.at("unit").get<std::string>();
    std::vector<Cell> row = {{name, name}, {unit, unit}};
    const auto put = [&row](const json& value, std::string (*show)(const json&)) {
      row.push_back({value, show(value)});
    };
    const auto short_number = [](const json& value) { return significant(value, 3); };
    put(pick(layer, "gate", "mean"), short_number);
    put(pick(layer, "gate", "saturated_share"), percent);
    put(pick(layer, "activation", "mean"), short_number);
    put(pick(layer, "activation", "variance"), short_number);
    put(layer.value("dead_share", json()), percent);
    put(pick(layer, "gradient", "norm"), short_number);
    put(pick(layer, "gradient", "linear_share"), percent);
    put(pick(layer, "gradient", "gate_share"), percent);
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// Openness of gates: a line of shares for each layer that `gate_of` gives one.
Chart gate_histograms(const json& inspection, const std::string& id, const std::string& label,
                      const Pick& gate_of) {
  Chart chart{
      .id = id,
      .label = label,
      .kind = ChartKind::step,
      .x = {"Openness of the gate", "openness"},
      .y = {"Share of the gates", "share", "linear", "percent"},
      .keys = {"layer"},
      .ordered = true,
      .summary = "How open the gates of each layer are: shares of the gates by openness, 0 to 1."};
  for (const json& layer : layers_of(inspection)) {
    const json gate = gate_of(layer);
    const json histogram = gate.is_object() ? gate.at("histogram") : json::array();
    if (histogram.empty()) continue;
    Series series{.name = layer.at("name").get<std::string>(), .color = chart.series.size()};
    series.keys = {layer.at("name")};
    const auto bins = static_cast<double>(histogram.size());
    for (std::size_t i = 0; i < histogram.size(); ++i) {
      series.x.push_back((static_cast<double>(i) + 0.5) / bins);
      series.y.push_back(histogram[i]);
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

/// A view for each gate of recurrent cells; one for units, which have a single gate.
Figure gates(const json& inspection) {
  Figure figure{
      "Openness of gates",
      "Shares of the gate values, in bins from closed (0) to open (1); colours run from the first "
      "layer to the last.",
      {}};
  std::vector<std::string> names;
  for (const json& layer : layers_of(inspection)) {
    for (const json& gate : layer.value("gates", json::array())) {
      const auto name = gate.at("of").get<std::string>();
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  for (const std::string& name : names) {
    figure.views.push_back(
        gate_histograms(inspection, "gates-" + slug(name), name, [name](const json& layer) {
          for (const json& gate : layer.value("gates", json::array())) {
            if (gate.at("of") == name) return gate;
          }
          return json();
        }));
  }
  if (names.empty()) {
    figure.views.push_back(gate_histograms(inspection, "gates", "Gates", [](const json& layer) {
      return layer.value("gate", json());
    }));
  }
  return figure;
}

Chart one_line(const std::string& id, const std::string& label, const Axis& x, const Axis& y,
               const json& xs, const json& ys, const std::string& summary) {
  Chart chart{.id = id,
              .label = label,
              .kind = ChartKind::points,
              .x = x,
              .y = y,
              .keys = {},
              .summary = summary};
  if (!xs.is_array() || xs.empty()) return chart;
  Series series{.name = label};
  series.x = xs;
  series.y = ys;
  chart.series.push_back(std::move(series));
  return chart;
}

Chart lags(const json& inspection) {
  return one_line(
      "lags", "Gradient", {"Lag k, tokens back", "lag"}, {"‖∂loss(t) / ∂x(t−k)‖", "norm", "log"},
      pick(inspection, "lags", "k"), pick(inspection, "lags", "norm"),
      "Norm of the gradient of the loss with respect to the input k tokens back, against k.");
}

Chart context(const json& inspection, const char* what, const std::string& label) {
  return one_line(std::string("context-") + what, label,
                  {"Tokens of context allowed", "tokens", "log"}, {label, what},
                  pick(inspection, "context", "tokens"), pick(inspection, "context", what),
                  label + " at positions that see exactly so many tokens of context.");
}

// -- In words

/// The layer where `get` is largest, or null when none has it.
const json* most(const json& layers, const Pick& get) {
  const json* found = nullptr;
  for (const json& layer : layers) {
    const json value = get(layer);
    if (value.is_number() && (found == nullptr || value > get(*found))) found = &layer;
  }
  return found;
}

std::string name_of(const json& layer) {
  return fmt::format("<b>{}</b>", escape(layer.at("name").get<std::string>()));
}

void say_gates(Page& page, const json& layers) {
  const Pick saturated = picker("gate", "saturated_share");
  if (const json* worst = most(layers, saturated)) {
    page.say("", fmt::format("Gates are saturated most in {}: {} of them.", name_of(*worst),
                             percent(saturated(*worst))));
  }
  const Pick share = picker("gradient", "linear_share");
  if (share(layers.front()).is_number() && share(layers.back()).is_number() && layers.size() > 1) {
    page.say(
        "", fmt::format("The linear path carries {} of the gradient that reaches the two halves in "
                        "{}, the first layer, and {} in {}, the last.",
                        percent(share(layers.front())), name_of(layers.front()),
                        percent(share(layers.back())), name_of(layers.back())));
  }
}

void say_layers(Page& page, const json& layers) {
  if (layers.empty()) return;
  say_gates(page, layers);
  const Pick dead = [](const json& layer) { return layer.value("dead_share", json()); };
  if (const json* worst = most(layers, dead)) {
    page.say("", dead(*worst) > 0
                     ? fmt::format("Channels that are never active: {} in {}, the most of "
                                   "any layer.",
                                   percent(dead(*worst)), name_of(*worst))
                     : std::string("No channel is dead: each is active somewhere in the text."));
  }
  const Pick norm = picker("gradient", "norm");
  const json first = norm(layers.front());
  const json last = norm(layers.back());
  if (layers.size() > 1 && first.is_number() && last.is_number() && last.get<double>() > 0) {
    page.say("", fmt::format("The gradient at the first layer is {} times that at the last.",
                             significant(first.get<double>() / last.get<double>(), 3)));
  }
}

/// Where the gradient has fallen to a tenth of its largest, for good.
void say_lags(Page& page, const json& inspection) {
  const json k = pick(inspection, "lags", "k");
  const json norm = pick(inspection, "lags", "norm");
  if (!k.is_array() || !norm.is_array() || norm.empty()) return;
  double top = 0;
  for (const json& value : norm) top = std::max(top, value.is_number() ? value.get<double>() : 0);
  std::size_t reach = 0;
  for (std::size_t i = 0; i < norm.size(); ++i) {
    if (norm[i].is_number() && norm[i].get<double>() >= top / 10) reach = i;
  }
  if (top <= 0) return;
  page.say(
      "",
      reach + 1 == norm.size()
          ? fmt::format("The loss’s gradient stays above a tenth of its largest up to the longest "
                        "lag probed, {} tokens back.",
                        k[reach].dump())
          : fmt::format("The loss’s gradient falls below a tenth of its largest beyond {} tokens "
                        "back.",
                        k[reach].dump()));
}

void say_context(Page& page, const json& inspection) {
  const json tokens = pick(inspection, "context", "tokens");
  const json perplexity = pick(inspection, "context", "perplexity");
  if (!tokens.is_array() || tokens.empty() || !perplexity.back().is_number()) return;
  const auto final = perplexity.back().get<double>();
  std::size_t enough = tokens.size() - 1;
  while (enough > 0 && perplexity[enough - 1].is_number() &&
         std::abs(perplexity[enough - 1].get<double>() - final) <= 0.02 * final) {
    --enough;
  }
  std::string text = fmt::format("Perplexity is {} with {} token{} of context and {} with {}",
                                 significant(perplexity.front()), tokens.front().dump(),
                                 tokens.front() == 1 ? "" : "s", significant(perplexity.back()),
                                 tokens.back().dump());
  text += enough + 1 < tokens.size()
              ? fmt::format("; {} are enough to come within 2% of that.", tokens[enough].dump())
              : "; it still changes by more than 2% at the last step.";
  page.say("", text);
}

void add_inspection_facts(Page& page, const json& inspection) {
  const std::filesystem::path file = inspection.at("text").at("file").get<std::string>();
  page.fact("Inspected on",
            fmt::format("{}, {} tokens probed",
                        escape(file.filename().empty() ? file.string() : file.filename().string()),
                        count(inspection.value("probed_tokens", json()))));
  const json& model = inspection.at("model");
  std::string what = model.value("summary", std::string());
  if (what.empty()) {
    what = model.value("arch", std::string("model"));
    for (const char* field : {"unit", "layers"}) {
      if (model.contains(field) && model[field].is_string())
        what += ", " + model[field].get<std::string>();
    }
  }
  page.fact("Model", escape(what));
  page.fact("Inspected", escape(inspection.at("date").get<std::string>()) + ", Sluice " +
                             escape(inspection.at("version").get<std::string>()));
}

}  // namespace

void add_inspection(Page& page, const json& inspection) {
  page.set_title("Inside a model");
  const json& layers = layers_of(inspection);
  say_layers(page, layers);
  say_lags(page, inspection);
  say_context(page, inspection);
  add_inspection_facts(page, inspection);

  page.section("layers", "Layers");
  if (!layers.empty()) page.add(layers_table(inspection));
  page.add("<div class=\"beside\">\n");
  add_figure(page, gates(inspection));
  add_figure(page,
             {"Activations",
              "",
              {by_layer(inspection, ChartKind::bar, "activation-variance", "Variance",
                        {"Variance of activations", "value"},
                        {{"variance", picker("activation", "variance")}}),
               by_layer(inspection, ChartKind::bar, "activation-mean", "Mean",
                        {"Mean activation", "value"}, {{"mean", picker("activation", "mean")}}),
               by_layer(inspection, ChartKind::bar, "shares", "Dead and saturated",
                        {"Share", "share", "linear", "percent"},
                        {{"dead channels",
                          [](const json& layer) { return layer.value("dead_share", json()); }},
                         {"saturated gates", picker("gate", "saturated_share")}})}});
  page.add("</div>\n");

  page.section("gradients", "Gradients");
  page.add("<div class=\"beside\">\n");
  add_figure(
      page,
      {"Gradient by layer",
       "Norm of the loss’s gradient at each layer’s output; the first layer is farthest from "
       "the loss.",
       {by_layer(inspection, ChartKind::points, "gradient-norm", "Norm",
                 {"Gradient norm", "norm", "log"}, {{"gradient", picker("gradient", "norm")}})}});
  add_figure(
      page,
      {"Linear path and gate path",
       "How the gradient that reaches the two halves of a gated unit divides between them; and "
       "what each passes on of the gradient that comes in.",
       {by_layer(inspection, ChartKind::stack, "gradient-shares", "Shares",
                 {"Share of the squared gradient", "share", "linear", "percent"},
                 {{"linear path", picker("gradient", "linear_share")},
                  {"gate path", picker("gradient", "gate_share")}}),
        by_layer(inspection, ChartKind::points, "gradient-gains", "Gains",
                 {"‖gradient passed on‖ / ‖gradient in‖", "gain"},
                 {{"linear path", picker("gradient", "linear_gain")},
                  {"gate path", picker("gradient", "gate_gain")}})}});
  page.add("</div>\n");

  page.section("time", "Reach over time");
  page.add("<div class=\"beside\">\n");
  add_figure(
      page,
      {"Gradient over lags",
       "How much the loss at a token depends on the input k tokens before it. A straight fall "
       "is a vanishing gradient.",
       {lags(inspection)}});
  add_figure(page, {"Effective context",
                    "Predictions from no more than so many tokens before them.",
                    {context(inspection, "perplexity", "Perplexity"),
                     context(inspection, "loss", "Loss, nats per token")}});
  page.add("</div>\n");
  add_surprisal(page, inspection);
}

}  // namespace sluice::report
