#pragma once
// Sensible choices where the user made none, from what is known of the text.
//
// Each function takes one section of a configuration ("tokenizer", "model", "training": the same
// fields as in config.json, all optional) and returns it with the rest filled in. What it picked is
// appended to `notes`, one phrase per choice, for the user to read. All throw UsageError naming an
// unknown field (with the nearest names) or one of the wrong type.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sluice/models/architecture.hpp"
#include "sluice/text/tokenizer.hpp"
#include "sluice/training/config.hpp"

namespace sluice {

/// What a look at a text tells.
struct TextFacts {
  std::int64_t bytes = 0;
  /// Commas and full stops stand apart from words, as in WikiText: the text is already cut into
  /// words.
  bool spaced_punctuation = false;
  /// "<unk>" occurs as a word: rare words have been replaced already.
  bool has_unk = false;
};

using Notes = std::vector<std::string>;

/// Looks at the sizes of `sources` and at the beginning of the first that is not empty. Throws Error
/// for a file that cannot be read, and when there is no text at all.
TextFacts inspect_text(const std::vector<TextSource>& sources);

/// Fields "kind", "vocabulary", "min_count". Text that is cut into words already gets words (all of
/// them when it has "<unk>", else those seen twice); other text characters below 1.5 MB, and bpe
/// above, with a vocabulary that grows with the text.
TokenizerOptions choose_tokenizer(const nlohmann::json& given, const TextFacts& facts,
                                  Notes& notes);

/// The fields of a "model" section for an architecture: model_fields(), and "preset" where there are
/// any.
std::vector<std::string> request_fields(const Architecture& architecture);

/// Checks what can be checked of a "model" section before the text is known: fields, preset, layer
/// spec, unit.
void check_model_request(const nlohmann::json& given);

/// The fields of ModelConfig as JSON has them, or "preset" instead of the shape. Sizes, and what
/// else the architecture has defaults for (Architecture::choose_size, complete), follow the task,
/// the dropout its number of training tokens, the softmax its vocabulary, with no more cutoffs than
/// the last layer is wide enough for. The config is validated.
ModelConfig choose_model(const nlohmann::json& given, const ModelTask& task, Notes& notes);

/// The fields of TrainConfig. The batch follows the number of training tokens, learning rate,
/// momentum and clipping the optimizer; without a budget the number of epochs is such that about 20
/// million tokens are read. The config is validated.
TrainConfig choose_training(const nlohmann::json& given, std::int64_t tokens, Notes& notes);

}  // namespace sluice
