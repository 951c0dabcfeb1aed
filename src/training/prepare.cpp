#include "sluice/training/prepare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/models/detail/changed_vocabulary.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/models/memory.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/text/batches.hpp"
#include "sluice/text/detail/holdout.hpp"
#include "sluice/text/detail/text_fingerprint.hpp"
#include "sluice/text/detail/vocabulary_change.hpp"
#include "sluice/text/inputs.hpp"
#include "sluice/text/labels.hpp"

namespace sluice {
namespace {

/// Makes the vocabulary of the model that the run starts with what the settings ask for.
void change_vocabulary_of(Settings& settings, const std::vector<TextSource>& text, Notes& notes,
                          const Progress& progress, std::unique_ptr<Tokenizer>& tokenizer) {
  const VocabularyChange change{settings.new_words, settings.prune_vocabulary};
  if (!change) return;
  auto changed = change_vocabulary(*tokenizer, text, change, progress);
  ModelConfig& model = settings.model.fields.values;
  model.cutoffs = changed_cutoffs(model, *tokenizer, *changed);
  model.vocabulary = changed->size();
  notes.push_back(fmt::format("a vocabulary of {} tokens for the model's {}",
                              grouped(changed->size()), grouped(tokenizer->size())));
  tokenizer = std::move(changed);
}

void add_labels(PreparedText& text, const ModelRequest& model, const HeldOut& parts, Notes& notes) {
  text.labels = model.has("labels") ? model.fields.values.labels : label_names(parts.train);
  if (text.labels.empty()) {
    throw Error("the condition labels no line of the training text; name another field of it");
  }
  text.train = with_labels(text.train, parts.train, text.labels);
  if (text.valid) text.valid = with_labels(*text.valid, parts.valid, text.labels);
  constexpr std::size_t most_named = 8;
  const auto last =
      text.labels.begin() + static_cast<std::ptrdiff_t>(std::min(most_named, text.labels.size()));
  notes.push_back(fmt::format(
      "conditional on {} label{}: {}{}", text.labels.size(), text.labels.size() == 1 ? "" : "s",
      fmt::join(text.labels.begin(), last, ", "), text.labels.size() > most_named ? ", ..." : ""));
}

}  // namespace

PreparedText prepare_text(Settings& settings, const std::filesystem::path& cache, Notes& notes,
                          const Progress& progress, std::unique_ptr<Tokenizer> tokenizer,
                          PieceWork* shared) {
  OwnWork own;
  PieceWork& work = shared != nullptr ? *shared : own;
  const DataSettings& data = settings.data.values;
  const bool any_bytes =
      tokenizer ? tokenizer->kind() == "byte" : settings.tokenizer.values.kind == "byte";
  const InputOptions reading{.include = data.include,
                             .field = data.field,
                             .condition = data.condition,
                             .any_bytes = any_bytes};
  const ModelConfig& asked = settings.model.fields.values;
  if (!data.condition.empty() && !asked.document_mark.empty()) {
    throw UsageError(
        "a text whose lines have labels takes no document mark, which would stand in place of "
        "some; "
        "leave the mark out");
  }
  const auto open = [&](const std::vector<std::filesystem::path>& paths) {
    // What other processes unpack has no name, so that it is not in the way of the first one's.
    auto inputs = std::make_unique<TextInputs>(
        paths, reading, work.leads() ? cache : std::filesystem::path(), progress);
    if (!inputs->skipped().empty()) notes.push_back(inputs->skipped_note());
    // Each process reads blocks of its own text, at the places that the first one found in its.
    if (work.processes() > 1) {
      work.check_same({{"text", text_fingerprint(inputs->sources())}});
    }
    return inputs;
  };
  const auto inputs = open(data.train);
  const std::vector<TextSource>& sources = inputs->sources();
  TextFacts facts = inspect_text(sources);
  if (!tokenizer && !settings.tokenizer.has("kind")) measure_costs(facts, sources, progress);
  TokenizerOptions options = choose_tokenizer(settings.tokenizer, facts, notes);
  HeldOut parts{sources, {}};
  std::unique_ptr<TextInputs> to_validate;
  if (!data.valid.empty()) {
    to_validate = open(data.valid);
    parts.valid = to_validate->sources();
  } else if (data.valid_fraction > 0) {
    parts = hold_out(sources, data.valid_fraction, asked.documents);
    notes.push_back(fmt::format("the last {:g}% of the text held out for validation",
                                100 * data.valid_fraction));
  }
  if (!tokenizer) {
    options.document_mark = asked.document_mark;
    tokenizer = train_tokenizer(options, parts.train, progress, work);
    change_vocabulary_of(settings, parts.train, notes, progress, tokenizer);
  }
  if (work.processes() > 1) {
    const std::uint64_t sum = tokenizer->fingerprint();
    work.check_same({{"tokenizer", checksum_hex(&sum, sizeof sum)}});
  }
  settings.tokenizer.become(options);
  const DocumentRule rule = document_rule(asked.documents, asked.document_mark, *tokenizer);
  const auto tokenized = [&](const std::vector<TextSource>& texts) {
    return tokenize_corpus(texts, *tokenizer, cache, progress, rule, &work);
  };
  TokenShards train = tokenized(parts.train);
  std::optional<TokenShards> valid;
  if (!parts.valid.empty()) valid = tokenized(parts.valid);
  std::unique_ptr<TextInputs> of_old;
  std::optional<TokenShards> old;
  if (!data.valid_old.empty()) {
    of_old = open(data.valid_old);
    old = tokenized(of_old->sources());
  }
  PreparedText text{std::move(tokenizer), std::move(train), std::move(valid), std::move(old)};
  if (!data.condition.empty()) {
    add_labels(text, settings.model, parts, notes);
    if (text.old) text.old = with_labels(*text.old, of_old->sources(), text.labels);
  }
  return text;
}

namespace {

/// Training is all that dropout counts for, so that load() lets it differ: a run that was resumed
/// with another one may not have saved weights since. Whoever trains on must know which is meant.
void check_dropout(const std::filesystem::path& directory, const ModelConfig& config) {
  const std::optional<ModelConfig> saved = ModelDirectory(directory).saved_config();
  if (!saved || saved->dropout == config.dropout) return;
  throw Error(fmt::format(
      "'{}' says that dropout is {}, and the weights beside it were saved with {}: say "
      "which the new run is to have",
      ModelDirectory(directory).config_file().string(), config.dropout, saved->dropout));
}

}  // namespace

void adopt_model(Settings& settings) {
  ModelDirectory(settings.from).check_trained();
  ModelConfig config = ModelDirectory(settings.from).model_config();
  const auto refuse = [&](const std::string& what) {
    throw UsageError(fmt::format(
        "a run that starts with the weights of '{}' has its tokenizer and its model, of which only "
        "the dropout and the documents may differ; leave {} out",
        settings.from.string(), what));
  };
  if (!settings.tokenizer.names.empty()) refuse("the tokenizer's " + settings.tokenizer.names[0]);
  if (settings.model.arch_given) refuse("the architecture");
  if (!settings.model.preset.empty()) refuse("the preset");
  if (!settings.model.waiting.empty()) refuse("the model's " + settings.model.waiting[0].name);
  const auto own = [](const std::string& name) {
    return name == "dropout" || name == "documents" || name == "document_mark";
  };
  for (const std::string& name : settings.model.fields.names) {
    if (!own(name)) refuse("the model's " + name);
  }
  if (!settings.data.values.condition.empty() && config.labels.empty()) {
    throw UsageError(
        fmt::format("the model of '{}' has no labels, so that its training goes on "
                    "without a condition; leave it out",
                    settings.from.string()));
  }
  const ModelConfig& given = settings.model.fields.values;
  if (settings.model.has("dropout")) {
    config.dropout = given.dropout;
  } else {
    check_dropout(settings.from, config);
  }
  if (settings.model.has("documents")) {
    config.documents = given.documents;
    config.document_mark.clear();
  }
  if (settings.model.has("document_mark")) config.document_mark = given.document_mark;
  settings.model.become(std::move(config));
  settings.tokenizer.become({.kind = std::filesystem::absolute(settings.from).string()});
}

void check_run(const ModelConfig& model, const TrainConfig& training, const TokenShards& text) {
  check_conv_path(model, training.conv);
  check_training_memory(model, training.batch, training.context, training.kept_per_parameter(),
                        training.recompute);
  const BatchStream fits(text, training.streams(), training.context);
}

}  // namespace sluice
