#pragma once
// Negative log-likelihoods of chosen positions of a batch.

#include <cstdint>
#include <span>
#include <vector>

#include "sluice/models/language_model.hpp"

namespace sluice {

/// Runs ids [batch, time] on from `state` and returns -ln p(targets[i]) for rows[i] of the batch ·
/// time positions (row-major, ascending). The other positions only move the state on.
std::vector<double> row_scores(LanguageModel& model, std::span<const std::int32_t> ids,
                               std::int64_t batch, std::int64_t time, ModelState& state,
                               std::span<const std::int32_t> rows,
                               std::span<const std::int32_t> targets,
                               const ForwardOptions& options);

}  // namespace sluice
