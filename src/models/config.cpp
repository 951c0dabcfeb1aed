// ModelConfig: validation, size, JSON.

#include "sluice/models/config.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "sluice/base/error.hpp"
#include "sluice/kernels/units.hpp"

namespace sluice {
namespace {

[[noreturn]] void refuse(const std::string& fault) {
  throw UsageError(fmt::format("model config: {}", fault));
}

void check_layers(const std::vector<LayerSpec>& layers) {
  if (layers.empty()) refuse("there are no layers; give at least one, like '[(512,4)]*8'");
  if (layers.size() > 1000) {
    refuse(fmt::format("{} layers are too many; at most 1000 are allowed", layers.size()));
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerSpec& layer = layers[i];
    if (layer.channels < 1 || layer.channels > 65536) {
      refuse(fmt::format("layer {} has {} channels, expected 1 to 65536", i + 1, layer.channels));
    }
    if (layer.kernel < 1 || layer.kernel > 64) {
      refuse(
          fmt::format("layer {} has a kernel width of {}, expected 1 to 64", i + 1, layer.kernel));
    }
    if (layer.residual < 0 || layer.residual > static_cast<std::int64_t>(i) + 1) {
      refuse(
          fmt::format("layer {} has residual {}, expected 0 to {}", i + 1, layer.residual, i + 1));
    }
  }
}

void check_cutoffs(const ModelConfig& config) {
  if (config.cutoffs.empty()) {
    refuse("the adaptive softmax needs at least one cutoff; give some or use the full softmax");
  }
  std::int64_t previous = 0;
  for (const std::int64_t cutoff : config.cutoffs) {
    if (cutoff <= previous || cutoff >= config.vocabulary) {
      refuse(fmt::format("cutoffs {} must ascend strictly between 0 and the vocabulary's {}",
                         fmt::join(config.cutoffs, ","), config.vocabulary));
    }
    previous = cutoff;
  }
  const std::int64_t width = config.layers.back().channels;
  const std::size_t tails = config.cutoffs.size();
  if (tails > 8 || width >> (2 * tails) == 0) {
    refuse(
        fmt::format("{} cutoffs are too many for a last layer of {} channels, of which each band "
                    "gets a quarter of the one before; use fewer cutoffs",
                    tails, width));
  }
}

/// Width of tail band i (0: the first after the head): a quarter of the one before
/// (div_value 4 of PyTorch's AdaptiveLogSoftmaxWithLoss).
std::int64_t band_width(std::int64_t width, std::size_t tail) { return width >> (2 * (tail + 1)); }

/// A convolution or projection of `fan_in` inputs to `outputs`, with its bias.
std::int64_t projection_parameters(std::int64_t fan_in, std::int64_t outputs, bool weight_norm) {
  return fan_in * outputs + (weight_norm ? 2 : 1) * outputs;
}

template <class T>
T field(const nlohmann::json& json, const char* name, const char* type) {
  const auto found = json.find(name);
  if (found == json.end()) throw Error(fmt::format("model config: field '{}' is missing", name));
  try {
    return found->get<T>();
  } catch (const nlohmann::json::exception&) {
    throw Error(fmt::format("model config: field '{}' must be {}, got {}", name, type,
                            found->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  }
}

std::int64_t integer(const nlohmann::json& value, const char* name) {
  // get<int64_t>() would take 2.7 as 2 and wrap what does not fit.
  const bool fits = value.is_number_unsigned()
                        ? value.get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max()
                        : value.is_number_integer();
  if (!fits) {
    throw Error(fmt::format("model config: field '{}' must be a whole number, got {}", name,
                            value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  }
  return value.get<std::int64_t>();
}

}  // namespace

void ModelConfig::validate() const {
  constexpr std::int64_t most_ids = std::numeric_limits<std::int32_t>::max();
  if (arch != "gcnn") refuse(fmt::format("unknown arch '{}', expected 'gcnn'", arch));
  check_layers(layers);
  if (vocabulary < 1 || vocabulary > most_ids) {
    refuse(fmt::format("a vocabulary of {}, expected 1 to {}", vocabulary, most_ids));
  }
  if (dim < 1 || dim > most_ids) {
    refuse(fmt::format("an embedding width (dim) of {}, expected 1 to {}", dim, most_ids));
  }
  parse_unit(unit);
  if (!(dropout >= 0 && dropout < 1)) {
    refuse(fmt::format("a dropout of {}, expected 0 or more and less than 1", dropout));
  }
  if (softmax != "adaptive" && softmax != "full") {
    refuse(fmt::format("unknown softmax '{}', expected 'adaptive' or 'full'", softmax));
  }
  if (softmax == "adaptive") {
    check_cutoffs(*this);
  } else if (!cutoffs.empty()) {
    refuse("the full softmax takes no cutoffs; leave them out or use the adaptive softmax");
  }
  if (tie && dim != layers.back().channels) {
    refuse(
        fmt::format("tied output weights need an embedding as wide as the last layer, got dim {} "
                    "and {} channels",
                    dim, layers.back().channels));
  }
}

std::int64_t ModelConfig::parameter_count() const {
  const Unit gate = parse_unit(unit);
  const bool adaptive = softmax == "adaptive";
  const std::int64_t width = layers.back().channels;

  std::int64_t count = 0;
  std::vector<std::int64_t> widths = {dim};  // of each layer's input
  for (const LayerSpec& layer : layers) {
    count += projection_parameters(layer.kernel * widths.back(), gate.inputs(layer.channels),
                                   weight_norm);
    if (layer.residual > 0) {
      const std::int64_t source = widths[widths.size() - static_cast<std::size_t>(layer.residual)];
      if (source != layer.channels) {
        count += projection_parameters(source, layer.channels, weight_norm);
      }
    }
    widths.push_back(layer.channels);
  }

  if (!adaptive) {
    count += vocabulary * dim + vocabulary;  // the embedding, the output's bias
    if (!tie) count += vocabulary * width;
    return count;
  }
  const auto clusters = static_cast<std::int64_t>(cutoffs.size());
  count += clusters * width + cutoffs.front() + clusters;  // the head's cluster rows, its bias
  count += cutoffs.front() * width;
  for (std::size_t i = 0; i < cutoffs.size(); ++i) {
    const std::int64_t end = i + 1 < cutoffs.size() ? cutoffs[i + 1] : vocabulary;
    count += band_width(width, i) * (width + end - cutoffs[i]);
  }
  // Tied, the bands above are the embedding's, too.
  return tie ? count : count + vocabulary * dim;
}

void to_json(nlohmann::json& json, const ModelConfig& config) {
  json = {{"arch", config.arch},
          {"layers", layers_string(config.layers)},
          {"vocabulary", config.vocabulary},
          {"dim", config.dim},
          {"unit", config.unit},
          {"weight_norm", config.weight_norm},
          // The shortest decimal that reads back to the same float: 0.1 rather than 0.10000000149.
          {"dropout", std::stod(fmt::format("{}", config.dropout))},
          {"softmax", config.softmax},
          {"cutoffs", config.cutoffs},
          {"tie", config.tie}};
}

void from_json(const nlohmann::json& json, ModelConfig& config) {
  if (!json.is_object()) throw Error("model config: expected a JSON object");
  ModelConfig read;
  read.arch = field<std::string>(json, "arch", "a string");
  try {
    read.layers = parse_layers(field<std::string>(json, "layers", "a string"));
  } catch (const UsageError& error) {
    // What a file holds is not the request's fault.
    throw Error(fmt::format("model config: {}", error.what()));
  }
  read.vocabulary = integer(field<nlohmann::json>(json, "vocabulary", "a number"), "vocabulary");
  read.dim = integer(field<nlohmann::json>(json, "dim", "a number"), "dim");
  read.unit = field<std::string>(json, "unit", "a string");
  read.weight_norm = field<bool>(json, "weight_norm", "true or false");
  read.dropout = field<float>(json, "dropout", "a number");
  read.softmax = field<std::string>(json, "softmax", "a string");
  for (const nlohmann::json& cutoff :
       field<std::vector<nlohmann::json>>(json, "cutoffs", "a list of numbers")) {
    read.cutoffs.push_back(integer(cutoff, "cutoffs"));
  }
  read.tie = field<bool>(json, "tie", "true or false");
  config = std::move(read);
}

}  // namespace sluice
