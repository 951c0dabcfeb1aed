#include "sluice/training/defaults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <string_view>
#include <type_traits>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/nn/feed_forward.hpp"
#include "sluice/nn/unit_layer.hpp"
#include "sluice/tensor/gemm.hpp"

namespace sluice {
namespace {

using nlohmann::json;

void check_fields(const char* section, const json& given, const std::vector<std::string>& known) {
  if (!given.is_object()) {
    throw UsageError(
        fmt::format("{} config: expected an object, got {}", section, given.type_name()));
  }
  for (const auto& item : given.items()) {
    parse_name(fmt::format("{} field", section), item.key(), known);
  }
}

template <class T>
T value_or(const char* section, const json& given, const char* name, T otherwise) {
  const auto found = given.find(name);
  if (found == given.end()) return otherwise;
  try {
    if constexpr (std::is_same_v<T, std::int64_t>) {
      if (!found->is_number_integer()) throw UsageError("");
    }
    return found->get<T>();
  } catch (const std::exception&) {
    throw UsageError(fmt::format("{} config: '{}' cannot be {}", section, name, found->dump()));
  }
}

/// Shapes for a number of training tokens: about as many weights in the layers as tokens, so that a
/// few passes suffice and a step stays affordable on a few cores.
struct ModelSize {
  std::int64_t most_tokens;
  const char* layers;  // gcnn
  std::int64_t dim;
  std::int64_t recurrent_depth, hidden;
  std::int64_t transformer_depth, transformer_dim;
  double dropout;
};
constexpr ModelSize sizes[] = {
    {100'000, "[(64,4)]*4", 64, 1, 128, 2, 64, 0.2},
    {1'500'000, "[(256,4)]*5", 256, 2, 384, 4, 256, 0.2},
    {20'000'000, "[(256,4)]*8", 256, 2, 512, 6, 256, 0.2},
    {200'000'000, "[(512,4)]*8", 512, 2, 1024, 6, 512, 0.1},
    {INT64_MAX, "[(900,4)]*8", 512, 2, 2048, 12, 768, 0},
};
/// IndRNN layers are light, and are made to be stacked (Li et al. 2018).
constexpr std::int64_t indrnn_depth_factor = 3;

const ModelSize& size_for(std::int64_t tokens) {
  return *std::find_if(std::begin(sizes), std::end(sizes),
                       [&](const ModelSize& size) { return tokens <= size.most_tokens; });
}

std::vector<std::int64_t> default_cutoffs(std::int64_t vocabulary) {
  if (vocabulary <= 5000) return {};
  if (vocabulary <= 20'000) return {2000};
  if (vocabulary <= 60'000) return {2000, 10'000};
  return {4000, 20'000, 60'000};
}

/// Below this the text has too few words to learn subwords from.
constexpr std::int64_t least_bytes_for_subwords = 1'500'000;

std::int64_t subword_vocabulary(std::int64_t bytes) {
  if (bytes < 20'000'000) return 4000;
  if (bytes < 500'000'000) return 16'000;
  return 32'000;
}

/// The shape of `arch` for a number of training tokens, without what depends on the vocabulary.
ModelConfig default_shape(const std::string& arch, const ModelSize& size) {
  ModelConfig config;
  config.arch = arch;
  config.dim = size.dim;
  if (arch == "gcnn") {
    config.layers = parse_layers(size.layers);
    return config;
  }
  config.norm = "none";
  config.unit.clear();
  if (arch == "transformer") {
    config.norm = "layer";
    config.dim = size.transformer_dim;
    config.transformer.depth = size.transformer_depth;
    return config;
  }
  config.recurrent.depth = size.recurrent_depth;
  config.recurrent.hidden = size.hidden;
  if (arch == "rnn") config.unit = "tanh";
  if (arch == "indrnn") {
    config.recurrent.depth *= indrnn_depth_factor;
    config.recurrent.residual = true;
  }
  return config;
}

/// Heads of 64 channels, as far as they divide the width.
std::int64_t default_heads(std::int64_t dim) {
  std::int64_t heads = std::max<std::int64_t>(dim / 64, 1);
  while (dim % heads != 0) --heads;
  return heads;
}

/// Throws UsageError unless every field of `given` is one that `arch` has.
void check_model_fields(const json& given, const std::string& arch) {
  std::vector<std::string> fields = model_fields(arch);
  fields.emplace_back("weight_norm");  // of older files
  if (arch == "gcnn") fields.emplace_back("preset");
  if (!given.is_object()) {
    throw UsageError(fmt::format("model config: expected an object, got {}", given.type_name()));
  }
  for (const auto& item : given.items()) {
    const std::string& name = item.key();
    if (std::find(fields.begin(), fields.end(), name) != fields.end()) continue;
    for (const std::string& other : architecture_names()) {
      const std::vector<std::string> its = model_fields(other);
      if (std::find(its.begin(), its.end(), name) == its.end() &&
          (name != "preset" || other != "gcnn")) {
        continue;
      }
      throw UsageError(fmt::format(
          "model config: '{}' is not a choice of arch {} (it is of {}); its choices are {}", name,
          arch, other, fmt::join(model_fields(arch), ", ")));
    }
    parse_name("model field", name, fields);
  }
}

}  // namespace

TextFacts inspect_text(const std::vector<TextSource>& sources) {
  constexpr std::size_t sample_size = 1 << 20;
  TextFacts facts;
  std::int64_t apart = 0;
  std::int64_t attached = 0;
  for (const TextSource& source : sources) {
    const MappedText mapped(source);
    const std::string_view text = mapped.text();
    if (facts.bytes == 0) {
      const std::string_view sample = text.substr(0, sample_size);
      for (std::size_t i = 1; i < sample.size(); ++i) {
        if (sample[i] != ',' && sample[i] != '.') continue;
        if (sample[i - 1] == ' ') {
          ++apart;
        } else if (std::isalpha(static_cast<unsigned char>(sample[i - 1]))) {
          ++attached;
        }
      }
      facts.has_unk = sample.find(" <unk> ") != std::string_view::npos;
    }
    facts.bytes += static_cast<std::int64_t>(text.size());
  }
  if (facts.bytes == 0) {
    throw Error(
        fmt::format("the training text is empty: {}{}",
                    sources.empty() ? "no files" : "'" + sources.front().path.string() + "'",
                    sources.size() > 1 ? " and the files after it" : ""));
  }
  facts.spaced_punctuation = apart > attached;
  return facts;
}

TokenizerOptions choose_tokenizer(const json& given, const TextFacts& facts, Notes& notes) {
  constexpr const char* section = "tokenizer";
  check_fields(section, given, {"kind", "vocabulary", "min_count"});
  TokenizerOptions options;
  options.kind = value_or<std::string>(section, given, "kind", "");
  const bool picked_kind = options.kind.empty();
  const char* reason = "";
  if (picked_kind) {
    if (facts.spaced_punctuation) {
      options.kind = "word";
      reason = "; the text is cut into words already";
    } else if (facts.bytes < least_bytes_for_subwords) {
      options.kind = "char";
      reason = "; the text is small";
    } else {
      options.kind = "bpe";
    }
  }
  const bool subwords = options.kind == "bpe" || options.kind == "unigram";
  options.vocabulary = value_or<std::int64_t>(section, given, "vocabulary",
                                              subwords ? subword_vocabulary(facts.bytes) : 0);
  const std::int64_t min_count = options.kind == "word" && !facts.has_unk ? 2 : 1;
  options.min_count = value_or<std::int64_t>(section, given, "min_count", min_count);

  std::string note = fmt::format("tokenizer {}", options.kind);
  if (subwords) note += fmt::format(", {} tokens", grouped(options.vocabulary));
  if (options.min_count > 1) note += fmt::format(", of words seen {} times", options.min_count);
  if (picked_kind || (subwords && !given.contains("vocabulary")) ||
      (options.min_count > 1 && !given.contains("min_count"))) {
    notes.push_back(note + reason);
  }
  return options;
}

void check_model_request(const json& given) {
  constexpr const char* section = "model";
  const auto arch = value_or<std::string>(section, given, "arch", "gcnn");
  check_model_fields(given, arch);
  if (given.contains("preset")) find_preset(value_or<std::string>(section, given, "preset", ""));
  if (given.contains("layers")) parse_layers(value_or<std::string>(section, given, "layers", ""));
  for (const char* field : {"unit", "ffn"}) {
    if (given.contains(field)) parse_unit_spec(value_or<std::string>(section, given, field, ""));
  }
}

ModelConfig choose_model(const json& given, std::int64_t tokens, std::int64_t vocabulary,
                         Notes& notes) {
  constexpr const char* section = "model";
  check_model_request(given);
  const ModelSize& size = size_for(tokens);
  const auto arch = value_or<std::string>(section, given, "arch", "gcnn");
  ModelConfig config = default_shape(arch, size);
  config.vocabulary = vocabulary;
  config.cutoffs = default_cutoffs(vocabulary);
  config.dropout = static_cast<float>(size.dropout);
  bool shape_is_given = given.contains("layers") || given.contains("depth");
  if (given.contains("preset")) {
    const Preset& preset = find_preset(value_or<std::string>(section, given, "preset", ""));
    config = preset_config(preset, vocabulary);
    config.dropout = static_cast<float>(size.dropout);
    shape_is_given = true;
  } else if (given.contains("layers")) {
    config.dim = parse_layers(given["layers"].get<std::string>()).front().channels;
  }
  if (!shape_is_given) {
    notes.push_back(fmt::format("{}, for {} training tokens", config.summary(), grouped(tokens)));
  }
  if (!given.contains("dropout")) notes.push_back(fmt::format("dropout {}", size.dropout));

  json all = config;
  if (given.contains("weight_norm")) all.erase("norm");
  if (value_or<std::string>(section, given, "norm", "") == "group") all["groups"] = config.groups;
  all.update(given);
  all.erase("preset");
  all["vocabulary"] = vocabulary;
  // What depends on other choices.
  if (arch == "transformer") {
    const auto dim = value_or<std::int64_t>(section, all, "dim", 0);
    if (!given.contains("heads")) all["heads"] = default_heads(std::max<std::int64_t>(dim, 1));
    if (!given.contains("ffn_width")) {
      all["ffn_width"] =
          shazeer_width(dim, parse_unit_spec(value_or<std::string>(section, all, "ffn", "")));
    }
  }
  if (!given.contains("softmax")) all["softmax"] = all["cutoffs"].empty() ? "full" : "adaptive";
  if (all["softmax"] == "full" && !given.contains("cutoffs")) all["cutoffs"] = json::array();
  if (all["softmax"] == "adaptive" && all["cutoffs"].empty() && vocabulary > 2) {
    all["cutoffs"] = {vocabulary / 2};
  }
  try {
    from_json(all, config);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
  if (!given.contains("softmax") || (config.softmax == "adaptive" && !given.contains("cutoffs"))) {
    notes.push_back(config.softmax == "full"
                        ? fmt::format("full softmax over {} tokens", grouped(vocabulary))
                        : fmt::format("adaptive softmax over {} tokens, cut at {}",
                                      grouped(vocabulary), fmt::join(config.cutoffs, ", ")));
  }
  config.validate();
  return config;
}

TrainConfig choose_training(const json& given, std::int64_t tokens, Notes& notes) {
  constexpr std::int64_t tokens_to_read = 20'000'000;
  constexpr std::int64_t most_epochs = 20;
  TrainConfig asked;
  from_json(given, asked);

  TrainConfig config;
  // A small text still makes some tens of steps per epoch.
  while (config.batch > 1 && tokens / (config.batch * config.context) < 50) config.batch /= 2;
  while (config.context > 16 && tokens / (config.batch * config.context) < 50) config.context /= 2;
  // The paper's nesterov needs many epochs at a rate found by trial; adamw learns more in few.
  config.optimizer.kind = given.contains("optimizer") ? asked.optimizer.kind : OptimizerKind::adamw;
  config.schedule.lr = default_learning_rate(config.optimizer.kind);
  config.clip = default_clip(config.optimizer.kind);
  from_json(given, config);

  if (!given.contains("batch") || !given.contains("context")) {
    notes.push_back(fmt::format("batch {} × context {}", config.batch, config.context));
  }
  if (!given.contains("optimizer") || !given.contains("lr")) {
    notes.push_back(fmt::format("{} with learning rate {:g}, {} schedule",
                                optimizer_name(config.optimizer.kind), config.schedule.lr,
                                schedule_name(config.schedule.kind)));
  }
  if (config.epochs == 0 && config.minutes == 0 && config.steps == 0 && config.tokens == 0) {
    config.epochs = std::clamp<std::int64_t>(tokens_to_read / std::max<std::int64_t>(tokens, 1), 1,
                                             most_epochs);
    notes.push_back(fmt::format("{} epoch{}", config.epochs, config.epochs == 1 ? "" : "s"));
  }
  config.validate();
  if (config.precision == Precision::bf16 && !has_bfloat16_gemm()) {
    throw UsageError(
        "training config: precision bf16 needs a CPU with AVX-512, which this one lacks; use f32");
  }
  return config;
}

}  // namespace sluice
