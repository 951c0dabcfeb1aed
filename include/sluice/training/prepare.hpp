#pragma once
// From settings to what train() takes: the texts, the model's and the training's configuration.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/models/config.hpp"
#include "sluice/text/corpus.hpp"
#include "sluice/text/tokenizer.hpp"
#include "sluice/training/config.hpp"
#include "sluice/training/defaults.hpp"
#include "sluice/training/settings.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Tokenised texts, and what they were cut with.
struct PreparedText {
  std::unique_ptr<Tokenizer> tokenizer;
  TokenShards train;
  /// None when nothing is to be validated on.
  std::optional<TokenShards> valid;
  /// What the model knew before, DataSettings::valid_old.
  std::optional<TokenShards> old = {};
  /// What it is labelled with (ModelConfig::labels), with a condition.
  std::vector<std::string> labels = {};
};

/// Chooses a tokenizer for the training files and trains it, holds a part of them out unless there
/// are files to validate on, and tokenises both into `cache` (made when missing),
/// where what must be unpacked is unpacked for as long as this takes.
/// With a condition both have labels: those of the model asked for where it has some, else those of
/// the training text; other ones are unknown. settings.tokenizer becomes what was chosen, and the
/// model's vocabulary what settings.new_words and settings.prune_vocabulary make of it; choices are
/// appended to `notes`. `tokenizer`: the one to cut with, instead of training one. `work`: the
/// processes that do this together, all with the same arguments; null: this one. Throws as
/// TextInputs, choose_tokenizer, train_tokenizer and tokenize_corpus do, Error when nothing of a
/// text can be held out, and whatever `progress` throws.
PreparedText prepare_text(Settings& settings, const std::filesystem::path& cache, Notes& notes,
                          const Progress& progress, std::unique_ptr<Tokenizer> tokenizer = nullptr,
                          PieceWork* work = nullptr);

/// Makes the configuration and the tokenizer of the model at `settings.from` those of the run,
/// which train_model() then gives its weights. Throws UsageError when another tokenizer was asked
/// for, or another model (its dropout may differ), Error as ModelDirectory::model_config() does.
void adopt_model(Settings& settings);

/// Refuses what could not be trained before anything is written: a convolution path that cannot
/// serve the model, a model that does not fit into memory (UsageError), a text shorter than one
/// step (Error).
void check_run(const ModelConfig& model, const TrainConfig& training, const TokenShards& text);

}  // namespace sluice
SLUICE_API_END
