// An inspection as text: its CSV files, and its tables to read.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <system_error>

#include "sluice/base/file.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/lab/inspect/inspect.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "text_table.hpp"

namespace sluice {
namespace {

std::string layers_csv(const Inspection& inspection) {
  std::vector<std::string> header = {"layer", "unit", "gate", "gate_mean", "gate_saturated_share"};
  for (std::size_t i = 0; i < gate_bins; ++i) header.push_back(fmt::format("gate_bin_{}", i));
  header.insert(header.end(),
                {"activation_mean", "activation_variance", "dead_share", "gradient_norm",
                 "linear_share", "gate_share", "linear_gain", "gate_gain"});
  std::string text = csv_line(header);
  if (!inspection.layers) return text;
  for (const LayerInspection& layer : *inspection.layers) {
    std::vector<Value> cells = {layer.name, layer.unit};
    if (layer.gate) {
      const GateOpenness& gate = *layer.gate;
      cells.insert(cells.end(), {gate.of, gate.mean, gate.saturated_share});
      cells.insert(cells.end(), gate.histogram.begin(), gate.histogram.end());
    } else {
      cells.resize(cells.size() + 3 + gate_bins);
    }
    const LayerGradient& gradient = layer.gradient;
    cells.insert(cells.end(), {layer.activation.mean, layer.activation.variance, layer.dead_share,
                               gradient.norm, gradient.linear_share, gradient.gate_share,
                               gradient.linear_gain, gradient.gate_gain});
    text += csv_values(cells);
  }
  return text;
}

std::string lags_csv(const Inspection& inspection) {
  std::string text = csv_line({"k", "norm"});
  if (!inspection.lags) return text;
  const LagGradients& lags = *inspection.lags;
  for (std::size_t i = 0; i < lags.k.size(); ++i) text += csv_values({lags.k[i], lags.norm[i]});
  return text;
}

std::string context_csv(const Inspection& inspection) {
  std::string text = csv_line({"tokens", "loss", "perplexity"});
  if (!inspection.context) return text;
  const ContextLosses& context = *inspection.context;
  for (std::size_t i = 0; i < context.tokens.size(); ++i) {
    text += csv_values({context.tokens[i], context.loss[i], context.perplexity[i]});
  }
  return text;
}

std::string surprisal_csv(const Inspection& inspection) {
  std::string text = csv_line({"position", "token", "nats"});
  std::int64_t position = 0;
  for (const TokenSurprisal& token : inspection.surprisal) {
    text += csv_values({position++, token.text, token.nats});
  }
  return text;
}

/// `number` by `format`, or "-" when it is not finite.
std::string formatted(double number, const char* format) {
  return std::isfinite(number) ? fmt::format(fmt::runtime(format), number) : "-";
}

std::string digits(double value) { return formatted(value, "{:.3g}"); }

std::string percent(double share) { return formatted(100 * share, "{:.1f}%"); }

std::string layers_text(const std::vector<LayerInspection>& layers) {
  std::vector<std::vector<std::string>> rows = {{"layer", "unit", "gate open", "saturated", "mean",
                                                 "variance", "dead", "|gradient|", "linear",
                                                 "gate"}};
  bool shares = false;
  bool gains = false;
  for (const LayerInspection& layer : layers) {
    const LayerGradient& gradient = layer.gradient;
    const GateOpenness gate = layer.gate.value_or(GateOpenness{});
    const bool halves = std::isfinite(gradient.gate_share);
    shares = shares || halves;
    const bool gain = !halves && std::isfinite(gradient.linear_gain);
    gains = gains || gain;
    rows.push_back({layer.name, layer.unit, digits(gate.mean), percent(gate.saturated_share),
                    digits(layer.activation.mean), digits(layer.activation.variance),
                    percent(layer.dead_share), digits(gradient.norm),
                    gain ? "x" + digits(gradient.linear_gain) : percent(gradient.linear_share),
                    percent(gradient.gate_share)});
  }
  std::string text = table(rows);
  if (shares) {
    text += "linear, gate: shares of the squared gradient that goes on through each half\n";
  }
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

std::string lags_text(const LagGradients& lags) {
  std::vector<std::vector<std::string>> rows = {{"lag"}, {"|gradient|"}};
  for (const std::size_t i : doubling(lags.k.size())) {
    rows[0].push_back(std::to_string(lags.k[i]));
    rows[1].push_back(formatted(lags.norm[i], "{:.1e}"));
  }
  return table(rows);
}

std::string channels_text(const std::vector<GateChannel>& channels) {
  std::string text;
  for (const GateChannel& each : channels) {
    text += fmt::format("{}{} ({} to {})", text.empty() ? "" : ", ", each.channel,
                        digits(each.from), digits(each.to));
  }
  return text.empty() ? "-" : text;
}

std::string labels_text(const std::vector<LabelGates>& labels) {
  std::vector<std::vector<std::string>> rows = {
      {"label", "layer", "gate", "open", "unknown", "opens channels", "shuts channels"}};
  for (const LabelGates& each : labels) {
    rows.push_back({each.label, each.layer, each.gate, digits(each.mean), digits(each.unknown_mean),
                    channels_text(each.opened), channels_text(each.shut)});
  }
  return table(rows);
}

std::string context_text(const ContextLosses& context) {
  std::vector<std::vector<std::string>> rows = {{"context"}, {"perplexity"}};
  for (std::size_t i = 0; i < context.tokens.size(); ++i) {
    rows[0].push_back(std::to_string(context.tokens[i]));
    rows[1].push_back(formatted(context.perplexity[i], "{:.4g}"));
  }
  return table(rows);
}

}  // namespace

void write_inspection(const std::filesystem::path& directory, const Inspection& inspection) {
  write_file(directory / LabDirectory::layers_name, layers_csv(inspection));
  write_file(directory / LabDirectory::lags_name, lags_csv(inspection));
  write_file(directory / LabDirectory::context_name, context_csv(inspection));
  write_file(directory / LabDirectory::surprisal_name, surprisal_csv(inspection));
  write_file(LabDirectory(directory).inspection_file(), inspection_json(inspection));
}

bool holds_unfinished_inspection(const std::filesystem::path& directory) {
  constexpr std::array<std::string_view, 4> own = {
      LabDirectory::layers_name, LabDirectory::lags_name, LabDirectory::context_name,
      LabDirectory::surprisal_name};
  // Tables alone may be somebody's; with what only a run leaves, they are its.
  bool of_a_run = false, tables = false;
  std::error_code ignored;  // what cannot be read is told of by who writes there
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name == DirectoryLock::name || AtomicFile::is_temporary(name)) {
      of_a_run = true;
    } else if (std::find(own.begin(), own.end(), name) != own.end()) {
      tables = true;
    } else {
      return false;
    }
  }
  return of_a_run || !tables;
}

std::string format_inspection(const Inspection& inspection) {
  std::string text = fmt::format("{}, {} parameters, on {} of {} tokens: {} nats per token\n",
                                 inspection.model.summary, grouped(inspection.model.parameters),
                                 grouped(inspection.probed_tokens), grouped(inspection.text.tokens),
                                 formatted(inspection.loss, "{:.4f}"));
  if (inspection.layers) text += "\n" + layers_text(*inspection.layers);
  if (!inspection.labels.empty()) {
    text += "\n" + labels_text(inspection.labels) +
            "gates under each label, all else being under the unknown one\n";
  }
  if (inspection.lags) {
    text += "\n" + lags_text(*inspection.lags) +
            "of the loss with respect to the token vector that many positions before\n";
  }
  if (inspection.context) {
    text += "\n" + context_text(*inspection.context) +
            "when the model sees that many tokens and nothing before them\n";
  }
  return text;
}

}  // namespace sluice
