#include "sluice/training/defaults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <string_view>
#include <type_traits>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/json.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"
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

/// Less dropout the more there is to learn from.
float default_dropout(TextSize size) {
  if (size == TextSize::huge) return 0;
  return size == TextSize::large ? 0.1F : 0.2F;
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

/// Whether a request for a model of this architecture may have the field.
bool takes_field(const Architecture& architecture, const std::string& name) {
  if (name == "arch") return true;
  if (name == "preset") return !architecture.presets().empty();
  return common_model_fields().find(name) != nullptr || architecture.fields().find(name) != nullptr;
}

/// Throws UsageError unless every field of `given` is one that the architecture has.
void check_model_fields(const json& given, const Architecture& architecture) {
  for (const auto& item : given.items()) {
    const std::string& name = item.key();
    if (takes_field(architecture, name)) continue;
    for (const Architecture* other : architectures()) {
      if (!takes_field(*other, name)) continue;
      throw UsageError(fmt::format(
          "model config: '{}' is not a choice of arch {} (it is of {}); its choices are {}", name,
          architecture.name(), other->name(), fmt::join(model_fields(architecture.name()), ", ")));
    }
    parse_name("model field", name, request_fields(architecture));
  }
}

/// The architecture that is asked for.
const Architecture& requested_architecture(const json& given) {
  if (!given.is_object()) {
    throw UsageError(fmt::format("model config: expected an object, got {}", given.type_name()));
  }
  if (given.contains("arch")) {
    return find_architecture(value_or<std::string>("model", given, "arch", ""));
  }
  if (!given.contains("preset")) return ModelConfig().architecture();
  return find_preset(value_or<std::string>("model", given, "preset", "")).config.architecture();
}

/// What was given over the sizes that befit the task, and the names of what was given: all that is
/// known before fields that follow from others.
struct RequestedModel {
  ModelConfig config;
  GivenFields given;
};

RequestedModel requested_model(const json& given, const ModelTask& task) {
  const Architecture& architecture = requested_architecture(given);
  check_model_fields(given, architecture);
  RequestedModel model{ModelConfig(architecture.name()), {}};
  if (given.contains("preset")) {
    model.given.insert("preset");
    model.config = preset_config(find_preset(value_or<std::string>("model", given, "preset", "")),
                                 task.vocabulary);
  } else {
    architecture.choose_size(model.config, text_size(task.tokens));
    model.config.cutoffs = default_cutoffs(task.vocabulary);
  }
  model.config.dropout = default_dropout(text_size(task.tokens));
  json fields = given;
  for (const char* choice : {"arch", "preset"}) fields.erase(choice);
  const auto names =
      read_fields(model_parts(model.config), value_of(fields), {.where = "model config"});
  model.given.insert(names.begin(), names.end());
  model.config.vocabulary = task.vocabulary;
  return model;
}

/// Sets softmax and cutoffs where they were not given, as befits the vocabulary and as far as the
/// last layer's width allows.
void complete_softmax(ModelConfig& config, const GivenFields& given) {
  const bool full = given.contains("softmax") && config.softmax == "full";
  if (!given.contains("cutoffs")) {
    const std::int64_t width = config.architecture().output_width(config);
    const std::size_t most = full ? 0 : most_cutoffs(width);
    config.cutoffs.resize(std::min(config.cutoffs.size(), most));
  }
  if (!given.contains("softmax")) {
    config.softmax = config.cutoffs.empty() ? "full" : "adaptive";
  } else if (!full && config.cutoffs.empty() && config.vocabulary > 2) {
    config.cutoffs = {config.vocabulary / 2};
  }
}

}  // namespace

std::vector<std::string> request_fields(const Architecture& architecture) {
  std::vector<std::string> fields = model_fields(architecture.name());
  if (!architecture.presets().empty()) fields.emplace_back("preset");
  return fields;
}

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
  requested_model(given, {.tokens = 1, .vocabulary = 1, .context = 1});
}

ModelConfig choose_model(const json& given, const ModelTask& task, Notes& notes) {
  auto [config, fields] = requested_model(given, task);
  const Architecture& architecture = config.architecture();
  architecture.complete(config, task, fields);
  complete_softmax(config, fields);

  if (!fields.contains("preset") && !fields.contains(architecture.size_fields().front())) {
    notes.push_back(
        fmt::format("{}, for {} training tokens", config.summary(), grouped(task.tokens)));
  }
  if (!fields.contains("dropout")) notes.push_back(fmt::format("dropout {}", config.dropout));
  if (!fields.contains("softmax") ||
      (config.softmax == "adaptive" && !fields.contains("cutoffs"))) {
    notes.push_back(config.softmax == "full"
                        ? fmt::format("full softmax over {} tokens", grouped(task.vocabulary))
                        : fmt::format("adaptive softmax over {} tokens, cut at {}",
                                      grouped(task.vocabulary), fmt::join(config.cutoffs, ", ")));
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
                                name_of(config.optimizer.kind), config.schedule.lr,
                                name_of(config.schedule.kind)));
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
