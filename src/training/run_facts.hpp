#pragma once
// What runs are told apart by.

#include <string>

#include "checkpointer.hpp"
#include "rank_group.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/text/corpus.hpp"
#include "sluice/training/config.hpp"

namespace sluice {

/// What a resumed run has to share, and all processes of a job: anything else may change. `more` is
/// what the caller adds.
Fingerprint fingerprint_of(const LanguageModel& model, const TokenShards& train,
                           const TokenShards* valid, const TrainConfig& config,
                           const Fingerprint& more);

/// Equal for equal weights, bit for bit.
std::string parameters_checksum(const Parameters& parameters);

}  // namespace sluice
