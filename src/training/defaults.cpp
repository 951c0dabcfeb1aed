#include "sluice/training/defaults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <string_view>
#include <type_traits>

#include "names.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/kernels/units.hpp"
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

/// A shape for a number of training tokens: about as many weights in the layers as tokens, so that
/// a few passes suffice and a step stays affordable on a few cores.
struct ModelSize {
  std::int64_t most_tokens;
  const char* layers;
  std::int64_t dim;
  double dropout;
};
constexpr ModelSize sizes[] = {
    {100'000, "[(64,4)]*4", 64, 0.2},      {1'500'000, "[(256,4)]*5", 256, 0.2},
    {20'000'000, "[(256,4)]*8", 256, 0.2}, {200'000'000, "[(512,4)]*8", 512, 0.1},
    {INT64_MAX, "[(900,4)]*8", 512, 0},
};

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

const std::vector<std::string>& model_fields() {
  static const std::vector<std::string> fields = {"arch",    "preset",  "layers",      "vocabulary",
                                                  "dim",     "unit",    "weight_norm", "dropout",
                                                  "softmax", "cutoffs", "tie"};
  return fields;
}

}  // namespace

TextFacts inspect_text(const std::vector<std::filesystem::path>& files) {
  constexpr std::size_t sample_size = 1 << 20;
  TextFacts facts;
  std::int64_t apart = 0;
  std::int64_t attached = 0;
  for (const std::filesystem::path& path : files) {
    const MappedFile file(path);
    const std::string_view text = file.text();
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
    throw Error(fmt::format("the training text is empty: {}{}",
                            files.empty() ? "no files" : "'" + files.front().string() + "'",
                            files.size() > 1 ? " and the files after it" : ""));
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
  check_fields(section, given, model_fields());
  if (given.contains("preset")) find_preset(value_or<std::string>(section, given, "preset", ""));
  if (given.contains("layers")) parse_layers(value_or<std::string>(section, given, "layers", ""));
  if (given.contains("unit")) parse_unit(value_or<std::string>(section, given, "unit", ""));
}

ModelConfig choose_model(const json& given, std::int64_t tokens, std::int64_t vocabulary,
                         Notes& notes) {
  constexpr const char* section = "model";
  check_model_request(given);
  const ModelSize& size = size_for(tokens);
  ModelConfig config;
  config.vocabulary = vocabulary;
  config.cutoffs = default_cutoffs(vocabulary);
  if (given.contains("preset")) {
    config =
        preset_config(find_preset(value_or<std::string>(section, given, "preset", "")), vocabulary);
  } else if (!given.contains("layers")) {
    config.layers = parse_layers(size.layers);
    config.dim = size.dim;
    notes.push_back(fmt::format("layers {}, for {} training tokens", size.layers, grouped(tokens)));
  }
  if (given.contains("layers")) {
    config.layers = parse_layers(value_or<std::string>(section, given, "layers", ""));
    config.dim = config.layers.front().channels;
  }
  config.arch = value_or(section, given, "arch", config.arch);
  config.dim = value_or(section, given, "dim", config.dim);
  config.unit = value_or(section, given, "unit", config.unit);
  config.weight_norm = value_or(section, given, "weight_norm", config.weight_norm);
  config.tie = value_or(section, given, "tie", config.tie);
  if (given.contains("dropout")) {
    config.dropout = value_or(section, given, "dropout", config.dropout);
  } else {
    config.dropout = static_cast<float>(size.dropout);
    notes.push_back(fmt::format("dropout {}", size.dropout));
  }

  config.softmax = config.cutoffs.empty() ? "full" : "adaptive";
  if (given.contains("cutoffs")) {
    config.cutoffs = value_or(section, given, "cutoffs", config.cutoffs);
    config.softmax = config.cutoffs.empty() ? "full" : "adaptive";
  }
  if (given.contains("softmax")) {
    config.softmax = value_or(section, given, "softmax", config.softmax);
    if (config.softmax == "full" && !given.contains("cutoffs")) config.cutoffs.clear();
    if (config.softmax == "adaptive" && config.cutoffs.empty() && vocabulary > 2) {
      config.cutoffs = {vocabulary / 2};
    }
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
