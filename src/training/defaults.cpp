#include "sluice/training/defaults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/tensor/gemm.hpp"
#include "sluice/text/detail/utf8.hpp"

namespace sluice {
namespace {

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

/// Below this a text has too few words to learn subwords from. Characters, not bytes: with 0.7 to
/// 1.2 million characters, 2 MB, of Chinese, Japanese or Arabic, subwords are no better than
/// characters, or worse.
constexpr double least_characters_for_subwords = 1'500'000;
/// Below this they are not worth a trial.
constexpr double least_characters_to_try = 500'000;
/// What is larger always has subwords.
constexpr std::int64_t most_bytes_to_try = 20'000'000;

/// How much more subwords may cost by their frequencies than characters after two others, for
/// subwords to be chosen: a small text's must cost clearly less, as where it is made of pieces that
/// come again and again, a larger one's not much more, as where nothing lasts beyond some
/// characters. docs/results.md has the texts that these lie between.
constexpr double most_cost_in_small_text = 0.87;
constexpr double most_cost_in_large_text = 1.4;

/// The kind of tokenizer for a text, and the reason, as a note has it; empty: it is the usual one.
std::pair<std::string, std::string> fitting_kind(const TextFacts& facts) {
  if (facts.spaced_punctuation) return {"word", "the text is cut into words already"};
  const bool small = facts.characters() < least_characters_for_subwords;
  const std::string size = small ? "the text is small" : "";
  if (!facts.costs) return {small ? "char" : "bpe", size};
  const auto& [subwords, characters] = *facts.costs;
  const std::string measured = fmt::format(
      "a character costs {:.3f} bits in subwords, {:.3f} after two others", subwords, characters);
  if (small && subwords < most_cost_in_small_text * characters) {
    return {"bpe", "the text repeats long pieces: " + measured};
  }
  if (!small && subwords > most_cost_in_large_text * characters) {
    return {"char", "the text repeats short pieces: " + measured};
  }
  return {small ? "char" : "bpe", small ? size + ": " + measured : measured};
}

std::int64_t subword_vocabulary(std::int64_t bytes) {
  if (bytes < 20'000'000) return 4000;
  if (bytes < 500'000'000) return 16'000;
  return 32'000;
}

/// What was given over the sizes that befit the task: all that is known before fields that follow
/// from others.
ModelConfig requested_model(const ModelRequest& given, const ModelTask& task) {
  ModelConfig config(given.architecture().name());
  if (given.preset.empty()) {
    config.architecture().choose_size(config, text_size(task.tokens));
    config.cutoffs = default_cutoffs(task.vocabulary);
  } else {
    config = preset_config(find_preset(given.preset), task.vocabulary);
  }
  config.dropout = default_dropout(text_size(task.tokens));
  given.fields.apply(config);
  config.vocabulary = task.vocabulary;
  if (config.labels.empty()) config.labels = task.labels;
  return config;
}

/// The names that Architecture::complete() asks for.
GivenFields given_fields(const ModelRequest& given) {
  GivenFields names(given.fields.names.begin(), given.fields.names.end());
  if (!given.preset.empty()) names.insert("preset");
  return names;
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

TextFacts inspect_text(const std::vector<TextSource>& sources) {
  constexpr std::size_t sample_size = 1 << 20;
  TextFacts facts;
  std::int64_t apart = 0;
  std::int64_t attached = 0;
  for (const TextSource& source : sources) {
    const TextFile file(source);
    if (facts.bytes == 0) {
      const std::string sample = file.read(0, sample_size);
      for (std::size_t i = 1; i < sample.size(); ++i) {
        if (sample[i] != ',' && sample[i] != '.') continue;
        if (sample[i - 1] == ' ') {
          ++apart;
        } else if (std::isalpha(static_cast<unsigned char>(sample[i - 1]))) {
          ++attached;
        }
      }
      if (!sample.empty()) {
        facts.characters_per_byte =
            static_cast<double>(count_characters(sample)) / static_cast<double>(sample.size());
      }
      facts.has_unk = sample.find(" <unk> ") != std::string_view::npos;
    }
    facts.bytes += static_cast<std::int64_t>(file.size());
  }
  if (facts.bytes == 0) {
    throw Error(fmt::format("the training text is empty: {}{}",
                            sources.empty() ? "no files" : "'" + sources.front().title() + "'",
                            sources.size() > 1 ? " and the files after it" : ""));
  }
  facts.spaced_punctuation = apart > attached;
  return facts;
}

void measure_costs(TextFacts& facts, const std::vector<TextSource>& sources,
                   const Progress& progress) {
  if (facts.spaced_punctuation || facts.bytes >= most_bytes_to_try ||
      facts.characters() < least_characters_to_try) {
    return;
  }
  facts.costs = unit_costs(sources, subword_vocabulary(facts.bytes), progress);
}

TokenizerOptions choose_tokenizer(const Given<TokenizerOptions>& given, const TextFacts& facts,
                                  Notes& notes) {
  TokenizerOptions options = given.values;
  const bool picked_kind = !given.has("kind");
  std::string reason;
  if (picked_kind) std::tie(options.kind, reason) = fitting_kind(facts);
  const bool subwords = options.kind == "bpe" || options.kind == "unigram";
  if (!given.has("vocabulary")) {
    options.vocabulary = subwords ? subword_vocabulary(facts.bytes) : 0;
  }
  if (!given.has("min_count")) {
    options.min_count = options.kind == "word" && !facts.has_unk ? 2 : 1;
  }

  std::string note = fmt::format("tokenizer {}", options.kind);
  if (subwords) note += fmt::format(", {} tokens", grouped(options.vocabulary));
  if (options.min_count > 1) note += fmt::format(", of words seen {} times", options.min_count);
  if (picked_kind || (subwords && !given.has("vocabulary")) ||
      (options.min_count > 1 && !given.has("min_count"))) {
    notes.push_back(reason.empty() ? note : note + "; " + reason);
  }
  return options;
}

ModelConfig choose_model(const ModelRequest& given, const ModelTask& task, Notes& notes) {
  given.check();
  ModelConfig config = requested_model(given, task);
  const GivenFields fields = given_fields(given);
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

TrainConfig choose_training(const Given<TrainConfig>& given, std::int64_t tokens, Notes& notes) {
  constexpr std::int64_t tokens_to_read = 20'000'000;
  constexpr std::int64_t most_epochs = 20;
  TrainConfig config;
  if (given.has("accumulate")) config.accumulate = given.values.accumulate;
  // A small text still makes some tens of steps per epoch.
  const auto few_steps = [&] { return tokens / config.tokens_per_step() < 50; };
  while (config.batch > 1 && few_steps()) config.batch /= 2;
  while (config.context > 16 && few_steps()) config.context /= 2;
  // The paper's nesterov needs many epochs at a rate found by trial; adamw learns more in few.
  config.optimizer.kind =
      given.has("optimizer") ? given.values.optimizer.kind : OptimizerKind::adamw;
  config.schedule.lr = default_learning_rate(config.optimizer.kind);
  config.clip = default_clip(config.optimizer.kind);
  given.apply(config);

  if (!given.has("batch") || !given.has("context")) {
    notes.push_back(fmt::format("batch {} × context {}", config.batch, config.context));
  }
  if (!given.has("optimizer") || !given.has("lr")) {
    notes.push_back(fmt::format("{} with learning rate {:g}, {} schedule",
                                name_of(config.optimizer.kind), config.schedule.lr,
                                name_of(config.schedule.kind)));
  }
  if (!has_budget(config)) {
    if (given.has_any(budget_fields)) {
      throw UsageError(
          "training config: a budget of 0 trains nothing; give one of epochs, minutes, steps or "
          "tokens above 0, or none of them for a default");
    }
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
