#pragma once
// The weights of a model for a vocabulary that was changed (text/detail/vocabulary_change.hpp).

#include <cstdint>
#include <vector>

#include "sluice/models/model_directory.hpp"

namespace sluice {

/// The cutoffs of a model of `config` whose tokens were `before` and are `now`: a token that stays
/// stays in its band, the last takes what is new. Throws Error when a band would be left empty.
std::vector<std::int64_t> changed_cutoffs(const ModelConfig& config, const Tokenizer& before,
                                          const Tokenizer& now);

/// Gives `model`, of the tokens `now`, the weights in `from`, whose tokens may be others: rows of
/// tokens that stay are kept, a new one's are the mean of those of the tokens that spelled it (of
/// its band, where none of them is in it). Throws Error as ModelDirectory::load() does, and when
/// the models differ in more than their tokens.
void load_for_vocabulary(const ModelDirectory& from, const Tokenizer& now, LanguageModel& model);

}  // namespace sluice
