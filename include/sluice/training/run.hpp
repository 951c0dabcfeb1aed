#pragma once
// A training run from a prepared text to a model directory: what a training by itself and
// comparisons have in common.

#include "sluice/base/api.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/training/prepare.hpp"
#include "sluice/training/trainer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What to train, complete.
struct TrainPlan {
  /// For config.json; its sections are `model` and `training`.
  Settings settings;
  ModelConfig model;
  TrainConfig training;
};

/// The plan of `settings` with its sections replaced.
TrainPlan plan_of(Settings settings, const ModelConfig& model, const TrainConfig& training);

/// What becomes of the weights of the last step where a validation before it was better.
enum class LastWeights : std::uint8_t {
  forget,  ///< they are in the checkpoint alone
  keep     ///< Weights::last, once the run has ended and was not interrupted
};

/// Trains the model of `plan`, with the weights of its settings' `from` if there is one, on `text`
/// in `files`, an existing directory whose lock the caller holds. A new run removes what an earlier
/// one left there, and saves tokenizer and config.json first. A resumed one replaces config.json
/// once it has gone on. Throws and returns as train() does.
TrainResult train_model(const TrainPlan& plan, const PreparedText& text,
                        const ModelDirectory& files, TrainOptions options = {},
                        LastWeights last = LastWeights::forget);

}  // namespace sluice
SLUICE_API_END
