// An inspection as text: its CSV files, and the tables that sluice inspect prints.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sluice/base/file.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/lab/inspect/inspect.hpp"
#include "text_table.hpp"

namespace sluice {
namespace {

using nlohmann::json;

/// A field of an object that may be null; null then.
json field(const json& object, const char* name) {
  return object.is_null() ? json() : object.at(name);
}

std::string layers_csv(const json& inspection) {
  std::vector<std::string> header = {"layer", "unit", "gate", "gate_mean", "gate_saturated_share"};
  for (int i = 0; i < 20; ++i) header.push_back(fmt::format("gate_bin_{}", i));
  header.insert(header.end(),
                {"activation_mean", "activation_variance", "dead_share", "gradient_norm",
                 "linear_share", "gate_share", "linear_gain", "gate_gain"});
  std::string text = csv_line(header);
  for (const json& layer : inspection["layers"]) {
    const json& gate = layer["gate"];
    const json& gradient = layer["gradient"];
    std::vector<json> cells = {layer["name"], layer["unit"], field(gate, "of"), field(gate, "mean"),
                               field(gate, "saturated_share")};
    for (std::size_t i = 0; i < 20; ++i) {
      cells.push_back(gate.is_null() ? json() : gate["histogram"][i]);
    }
    cells.insert(cells.end(),
                 {layer["activation"]["mean"], layer["activation"]["variance"], layer["dead_share"],
                  gradient["norm"], gradient["linear_share"], gradient["gate_share"],
                  gradient["linear_gain"], gradient["gate_gain"]});
    std::vector<std::string> line;
    line.reserve(cells.size());
    for (const json& cell : cells) line.push_back(csv_cell(cell));
    text += csv_line(line);
  }
  return text;
}

/// Lists of an object side by side, under their names; the header alone when there is none.
std::string columns_csv(const json& object, const std::vector<std::string>& names) {
  std::string text = csv_line(names);
  if (object.is_null()) return text;
  for (std::size_t i = 0; i < object[names.front()].size(); ++i) {
    std::vector<std::string> line;
    line.reserve(names.size());
    for (const std::string& name : names) line.push_back(csv_cell(object[name][i]));
    text += csv_line(line);
  }
  return text;
}

std::string surprisal_csv(const json& inspection) {
  std::string text = csv_line({"position", "token", "nats"});
  std::size_t position = 0;
  for (const json& token : inspection["surprisal"]) {
    text +=
        csv_line({std::to_string(position++), csv_cell(token["text"]), csv_cell(token["nats"])});
  }
  return text;
}

/// A number to three digits, or "-" for null.
std::string digits(const json& value) {
  return value.is_number() ? fmt::format("{:.3g}", value.get<double>()) : "-";
}

std::string percent(const json& value) {
  return value.is_number() ? fmt::format("{:.1f}%", 100 * value.get<double>()) : "-";
}

std::string layers_text(const json& layers) {
  std::vector<std::vector<std::string>> rows = {{"layer", "unit", "gate open", "saturated", "mean",
                                                 "variance", "dead", "|gradient|", "linear",
                                                 "gate"}};
  bool shares = false;
  bool gains = false;
  for (const json& layer : layers) {
    const json& gradient = layer["gradient"];
    const bool halves = !gradient["gate_share"].is_null();
    shares = shares || halves;
    const bool gain = !halves && !gradient["linear_gain"].is_null();
    gains = gains || gain;
    rows.push_back(
        {layer["name"].get<std::string>(), layer["unit"].get<std::string>(),
         digits(field(layer["gate"], "mean")), percent(field(layer["gate"], "saturated_share")),
         digits(layer["activation"]["mean"]), digits(layer["activation"]["variance"]),
         percent(layer["dead_share"]), digits(gradient["norm"]),
         gain ? "x" + digits(gradient["linear_gain"]) : percent(gradient["linear_share"]),
         percent(gradient["gate_share"])});
  }
  std::string text = table(rows);
  if (shares)
    text += "linear, gate: shares of the squared gradient that goes on through each half\n";
  if (gains) text += "linear xN: the unit multiplies the norm of the gradient by N\n";
  return text;
}

/// The indices 0, 1, 2, 4, 8 .. of a list, and its last.
std::vector<std::size_t> doubling(std::size_t size) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < size; i = std::max<std::size_t>(2 * i, i + 1)) indices.push_back(i);
  if (size > 0 && indices.back() + 1 != size) indices.push_back(size - 1);
  return indices;
}

std::string lags_text(const json& lags) {
  std::vector<std::vector<std::string>> rows = {{"lag"}, {"|gradient|"}};
  for (const std::size_t i : doubling(lags["k"].size())) {
    rows[0].push_back(lags["k"][i].dump());
    const json& norm = lags["norm"][i];
    rows[1].push_back(norm.is_number() ? fmt::format("{:.1e}", norm.get<double>()) : "-");
  }
  return table(rows);
}

std::string context_text(const json& context) {
  std::vector<std::vector<std::string>> rows = {{"context"}, {"perplexity"}};
  for (std::size_t i = 0; i < context["tokens"].size(); ++i) {
    rows[0].push_back(context["tokens"][i].dump());
    const json& perplexity = context["perplexity"][i];
    rows[1].push_back(perplexity.is_number() ? fmt::format("{:.4g}", perplexity.get<double>())
                                             : "-");
  }
  return table(rows);
}

}  // namespace

void write_inspection(const std::filesystem::path& directory, const json& inspection) {
  write_file(
      directory / "layers.csv",
      layers_csv(inspection["layers"].is_null() ? json{{"layers", json::array()}} : inspection));
  write_file(directory / "lags.csv", columns_csv(inspection["lags"], {"k", "norm"}));
  write_file(directory / "context.csv",
             columns_csv(inspection["context"], {"tokens", "loss", "perplexity"}));
  write_file(directory / "surprisal.csv", surprisal_csv(inspection));
  // A byte token may be part of a character.
  write_file(directory / "inspect.json",
             inspection.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
}

std::string format_inspection(const json& inspection) {
  const json& model = inspection["model"];
  const json& loss = inspection["loss"];
  std::string text = fmt::format(
      "{}, {} parameters, on {} of {} tokens: {} nats per token\n",
      model["summary"].get<std::string>(), grouped(model["parameters"].get<std::int64_t>()),
      grouped(inspection["probed_tokens"].get<std::int64_t>()),
      grouped(inspection["text"]["tokens"].get<std::int64_t>()),
      loss.is_number() ? fmt::format("{:.4f}", loss.get<double>()) : "-");
  if (!inspection["layers"].is_null()) text += "\n" + layers_text(inspection["layers"]);
  if (!inspection["lags"].is_null()) {
    text += "\n" + lags_text(inspection["lags"]) +
            "of the loss with respect to the token vector that many positions before\n";
  }
  if (!inspection["context"].is_null()) {
    text += "\n" + context_text(inspection["context"]) +
            "when the model sees that many tokens and nothing before them\n";
  }
  return text;
}

}  // namespace sluice
