#include "sluice/training/prepare.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "sluice/models/language_model.hpp"
#include "sluice/models/memory.hpp"
#include "sluice/text/batches.hpp"
#include "sluice/text/holdout.hpp"

namespace sluice {

PreparedText prepare_text(Settings& settings, const std::filesystem::path& cache, Notes& notes,
                          const Progress& progress, std::unique_ptr<Tokenizer> tokenizer) {
  const std::vector<TextSource> sources = expand_inputs(settings.train_files);
  const TextFacts facts = inspect_text(sources);
  const TokenizerOptions options = choose_tokenizer(settings.tokenizer, facts, notes);
  HeldOut parts{sources, {}};
  if (!settings.valid_files.empty()) {
    parts.valid = expand_inputs(settings.valid_files);
  } else if (settings.valid_fraction > 0) {
    parts = hold_out(sources, settings.valid_fraction);
    notes.push_back(fmt::format("the last {:g}% of the text held out for validation",
                                100 * settings.valid_fraction));
  }
  if (!tokenizer) tokenizer = train_tokenizer(options, parts.train, progress);
  settings.tokenizer = {
      {"kind", options.kind}, {"vocabulary", options.vocabulary}, {"min_count", options.min_count}};
  TokenShards train = tokenize_corpus(parts.train, *tokenizer, cache, progress);
  std::optional<TokenShards> valid;
  if (!parts.valid.empty()) valid = tokenize_corpus(parts.valid, *tokenizer, cache, progress);
  return {std::move(tokenizer), std::move(train), std::move(valid)};
}

void check_run(const ModelConfig& model, const TrainConfig& training, const TokenShards& text) {
  const bool adaptive = training.optimizer.kind == OptimizerKind::adam ||
                        training.optimizer.kind == OptimizerKind::adamw;
  check_conv_path(model, training.conv);
  check_training_memory(model, training.batch, training.context, adaptive ? 2 : 1,
                        training.recompute);
  const BatchStream fits(text, training.batch, training.context);
}

}  // namespace sluice
