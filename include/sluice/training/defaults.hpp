#pragma once
// Sensible choices where the user made none, from what is known of the text.
//
// Each function takes what was given of one part of a run's settings and returns it with the rest
// filled in. What it picked is appended to `notes`, one phrase per choice, for the user to read.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/models/architecture.hpp"
#include "sluice/models/request.hpp"
#include "sluice/text/tokenizer.hpp"
#include "sluice/text/unit_costs.hpp"
#include "sluice/training/config.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What a look at a text tells.
struct TextFacts {
  std::int64_t bytes = 0;
  /// Of its beginning: a third in Chinese and Japanese, a half in Arabic.
  double characters_per_byte = 1;
  /// Commas and full stops stand apart from words, as in WikiText: the text is already cut into
  /// words.
  bool spaced_punctuation = false;
  /// "<unk>" occurs as a word: rare words have been replaced already.
  bool has_unk = false;
  /// What subwords and characters cost, where that was measured.
  std::optional<UnitCosts> costs = {};

  /// About how many characters it has.
  double characters() const { return static_cast<double>(bytes) * characters_per_byte; }
};

using Notes = std::vector<std::string>;

/// Looks at the sizes of `sources` and at the beginning of the first that is not empty. Throws
/// Error for a file that cannot be read, and when there is no text at all.
TextFacts inspect_text(const std::vector<TextSource>& sources);

/// Measures what subwords and characters cost in `sources`, where the choice between them depends
/// on it: in texts of half a million characters to 20 MB that are not cut into words.
void measure_costs(TextFacts& facts, const std::vector<TextSource>& sources,
                   const Progress& progress = {});

/// Text that is cut into words already gets words (all of them when it has "<unk>", else those seen
/// twice); other text its characters where they are fewer than 1.5 million, and bpe above, with a
/// vocabulary that grows with the text, unless its costs say clearly that the other suits it.
TokenizerOptions choose_tokenizer(const Given<TokenizerOptions>& given, const TextFacts& facts,
                                  Notes& notes);

/// Sizes, and what else the architecture has defaults for (Architecture::choose_size, complete),
/// follow the task, the dropout its number of training tokens, the softmax its vocabulary, with no
/// more cutoffs than the last layer is wide enough for. The config is validated: throws UsageError
/// naming the first field that is out of range or inconsistent.
ModelConfig choose_model(const ModelRequest& given, const ModelTask& task, Notes& notes);

/// The batch follows the number of training tokens, learning rate, momentum and clipping the
/// optimizer; without a budget the number of epochs is such that about 20 million tokens are read.
/// The config is validated. Throws UsageError naming the first field that is out of range, and when
/// budgets were given and all are 0.
TrainConfig choose_training(const Given<TrainConfig>& given, std::int64_t tokens, Notes& notes);

}  // namespace sluice
SLUICE_API_END
