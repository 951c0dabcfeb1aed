#pragma once
// What labels open and shut: gates under each label against those under the unknown one.

#include <cstdint>
#include <functional>
#include <vector>

#include "sluice/lab/inspect/inspection.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/text/corpus.hpp"

namespace sluice {

/// Labels that are looked at, in the model's order, and tokens of the text that each reads at most.
inline constexpr std::int64_t most_labels_inspected = 20;
inline constexpr std::int64_t most_label_tokens = 2048;

/// Passes over the text that label_gates() makes of a model.
std::int64_t label_passes(const ModelConfig& config);

/// The gates of every layer under each label, on the first tokens of the text, all of them under
/// that label, each of `documents` by itself. `spend` is told of the tokens that were read.
std::vector<LabelGates> label_gates(LanguageModel& model, const TokenShards& text,
                                    const DocumentEnds& documents, std::int64_t tokens,
                                    const std::function<void(std::int64_t)>& spend);

}  // namespace sluice
