// ModelConfig: validation, size, JSON; what of it no architecture owns.

#include "sluice/models/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "architecture.hpp"
#include "initialise.hpp"
#include "json_fields.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"

namespace sluice {
namespace {

void check_cutoffs(const ModelConfig& config, std::int64_t width) {
  if (config.cutoffs.empty()) {
    refuse_config(
        "the adaptive softmax needs at least one cutoff; give some or use the full softmax");
  }
  std::int64_t previous = 0;
  for (const std::int64_t cutoff : config.cutoffs) {
    if (cutoff <= previous || cutoff >= config.vocabulary) {
      refuse_config(fmt::format("cutoffs {} must ascend strictly between 0 and the vocabulary's {}",
                                fmt::join(config.cutoffs, ","), config.vocabulary));
    }
    previous = cutoff;
  }
  const std::size_t tails = config.cutoffs.size();
  if (tails > 8 || width >> (2 * tails) == 0) {
    refuse_config(
        fmt::format("{} cutoffs are too many for a last layer of {} channels, of which each band "
                    "gets a quarter of the one before; use fewer cutoffs",
                    tails, width));
  }
}

void check_norm(const ModelConfig& config) {
  static const std::vector<std::string> known = {"none", "weight", "layer",
                                                 "rms",  "group",  "batch"};
  if (config.norm == "instance") {
    refuse_config(
        "instance normalisation pools over time, so that a position would see its future; use "
        "layer, rms or group, which normalise each position on its own");
  }
  if (std::find(known.begin(), known.end(), config.norm) == known.end()) {
    refuse_config(
        fmt::format("unknown norm '{}'; {}", config.norm, suggestion(config.norm, known)));
  }
  if (config.norm == "weight" && config.arch != "gcnn") {
    refuse_config(fmt::format(
        "weight normalisation is of gcnn, and arch is {}; use none, layer, rms, group or batch",
        config.arch));
  }
}

void check_init(const ModelConfig& config) {
  const std::vector<std::string>& known = init_names();
  if (std::find(known.begin(), known.end(), config.init) == known.end()) {
    refuse_config(
        fmt::format("unknown init '{}'; {}", config.init, suggestion(config.init, known)));
  }
  if (!(config.init_scale > 0) || !std::isfinite(config.init_scale)) {
    refuse_config(fmt::format("an init_scale of {}, expected a number above 0", config.init_scale));
  }
}

/// Width of tail band i (0: the first after the head): a quarter of the one before
/// (div_value 4 of PyTorch's AdaptiveLogSoftmaxWithLoss).
std::int64_t band_width(std::int64_t width, std::size_t tail) { return width >> (2 * (tail + 1)); }

/// Embedding and softmax.
std::int64_t token_parameters(const ModelConfig& config, std::int64_t width) {
  if (config.softmax != "adaptive") {
    const std::int64_t ends = config.vocabulary * config.dim + config.vocabulary;
    return config.tie ? ends : ends + config.vocabulary * width;
  }
  const auto clusters = static_cast<std::int64_t>(config.cutoffs.size());
  const std::int64_t head = config.cutoffs.front();
  std::int64_t count = clusters * width + head + clusters;  // the head's cluster rows, its bias
  count += head * width;
  for (std::size_t i = 0; i < config.cutoffs.size(); ++i) {
    const std::int64_t end =
        i + 1 < config.cutoffs.size() ? config.cutoffs[i + 1] : config.vocabulary;
    count += band_width(width, i) * (width + end - config.cutoffs[i]);
  }
  // Tied, the bands above are the embedding's, too.
  return config.tie ? count : count + config.vocabulary * config.dim;
}

const std::vector<std::string>& common_fields() {
  static const std::vector<std::string> fields = {"arch",   "vocabulary", "dim",       "norm",
                                                  "groups", "dropout",    "softmax",   "cutoffs",
                                                  "tie",    "init",       "init_scale"};
  return fields;
}

}  // namespace

void refuse_config(const std::string& fault) {
  throw UsageError(fmt::format("model config: {}", fault));
}

void check_config_range(std::string_view what, std::int64_t value, std::int64_t least,
                        std::int64_t most) {
  if (value >= least && value <= most) return;
  refuse_config(fmt::format("{} of {}, expected {} to {}", what, value, least, most));
}

const std::vector<std::string>& architecture_names() {
  static const std::vector<std::string> names = {"gcnn",   "rnn",  "lstm",       "gru",
                                                 "indrnn", "mut1", "transformer"};
  return names;
}

const std::vector<std::string>& init_names() {
  static const std::vector<std::string> names = {"default", "xavier", "kaiming", "orthogonal"};
  return names;
}

const Architecture& find_architecture(std::string_view name) {
  if (name == "gcnn") return gcnn_architecture();
  if (name == "transformer") return transformer_architecture();
  if (const Architecture* const recurrent = find_recurrent_architecture(name)) return *recurrent;
  refuse_config(fmt::format("unknown arch '{}'; {}", name, suggestion(name, architecture_names())));
}

std::vector<std::string> model_fields(std::string_view arch) {
  std::vector<std::string> fields = common_fields();
  const std::vector<std::string> own = find_architecture(arch).fields();
  fields.insert(fields.end(), own.begin(), own.end());
  return fields;
}

void ModelConfig::validate() const {
  constexpr std::int64_t most_ids = std::numeric_limits<std::int32_t>::max();
  const Architecture& architecture = find_architecture(arch);
  check_config_range("a vocabulary", vocabulary, 1, most_ids);
  check_config_range("an embedding width (dim)", dim, 1, most_ids);
  check_norm(*this);
  check_init(*this);
  architecture.validate(*this);
  if (!(dropout >= 0 && dropout < 1)) {
    refuse_config(fmt::format("a dropout of {}, expected 0 or more and less than 1", dropout));
  }
  if (softmax != "adaptive" && softmax != "full") {
    refuse_config(fmt::format("unknown softmax '{}', expected 'adaptive' or 'full'", softmax));
  }
  const std::int64_t width = architecture.output_width(*this);
  if (softmax == "adaptive") {
    check_cutoffs(*this, width);
  } else if (!cutoffs.empty()) {
    refuse_config("the full softmax takes no cutoffs; leave them out or use the adaptive softmax");
  }
  if (tie && dim != width) {
    refuse_config(
        fmt::format("tied output weights need an embedding as wide as the last layer, got dim {} "
                    "and {} channels",
                    dim, width));
  }
}

std::int64_t ModelConfig::parameter_count() const {
  const Architecture& architecture = find_architecture(arch);
  return architecture.parameters(*this) + token_parameters(*this, architecture.output_width(*this));
}

std::string ModelConfig::summary() const { return find_architecture(arch).summary(*this); }

void to_json(nlohmann::json& json, const ModelConfig& config) {
  json = {{"arch", config.arch},
          {"vocabulary", config.vocabulary},
          {"dim", config.dim},
          {"norm", config.norm},
          {"dropout", json_float(config.dropout)},
          {"softmax", config.softmax},
          {"cutoffs", config.cutoffs},
          {"tie", config.tie}};
  if (config.norm == "group") json["groups"] = config.groups;
  if (config.init != "default") json["init"] = config.init;
  if (config.init_scale != 1) json["init_scale"] = json_float(config.init_scale);
  find_architecture(config.arch).write(json, config);
}

void from_json(const nlohmann::json& json, ModelConfig& config) {
  if (!json.is_object()) throw Error("model config: expected a JSON object");
  ModelConfig read;
  read.arch = json_field<std::string>(json, "arch", "a string");
  const Architecture* architecture = nullptr;
  try {
    architecture = &find_architecture(read.arch);
  } catch (const UsageError& error) {
    throw Error(error.what());  // what a file holds is not the request's fault
  }
  read.vocabulary = json_integer_field(json, "vocabulary");
  read.dim = json_integer_field(json, "dim");
  // Before there were other norms, "weight_norm" said whether there was this one.
  if (json.contains("weight_norm") && !json.contains("norm")) {
    read.norm = json_field<bool>(json, "weight_norm", "true or false") ? "weight" : "none";
  } else {
    read.norm = json_field<std::string>(json, "norm", "a string");
  }
  if (read.norm == "group") read.groups = json_integer_field(json, "groups");
  read.dropout = json_field<float>(json, "dropout", "a number");
  read.softmax = json_field<std::string>(json, "softmax", "a string");
  for (const nlohmann::json& cutoff :
       json_field<std::vector<nlohmann::json>>(json, "cutoffs", "a list of numbers")) {
    read.cutoffs.push_back(json_integer(cutoff, "cutoffs"));
  }
  read.tie = json_field<bool>(json, "tie", "true or false");
  if (json.contains("init")) read.init = json_field<std::string>(json, "init", "a string");
  if (json.contains("init_scale")) {
    read.init_scale = json_field<float>(json, "init_scale", "a number");
  }
  architecture->read(json, read);
  config = std::move(read);
}

std::unique_ptr<LanguageModel> make_model(const ModelConfig& config,
                                          std::optional<std::uint64_t> seed, DType dtype) {
  config.validate();
  auto model = find_architecture(config.arch).make(config, seed, dtype);
  if (seed) initialise_stack(config, *seed, model->parameters());
  return model;
}

}  // namespace sluice
