#pragma once
// Validation, and what it says of the run.

#include <functional>
#include <optional>

#include "rank_group.hpp"
#include "sluice/inference/evaluate.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/training/config.hpp"
#include "sluice/training/detail/checkpoint.hpp"

namespace sluice {

class Validator {
 public:
  /// Called with the fraction that is done; false stops the validation.
  using GoOn = std::function<bool(double fraction)>;

  /// `model` and `text` must outlive it.
  Validator(const LanguageModel& model, const TokenShards& text, const TrainConfig& config,
            RankGroup ranks = RankGroup(nullptr))
      : model_(model), text_(text), conv_(config.conv), parts_(config.accumulate), ranks_(ranks) {}

  /// Scores the text with the model as it is; none when `go_on` stopped it, in any process. The
  /// text is scored in as many parts as a step has micro-batches, each by the process that computes
  /// that one, with what is before the part as its context: the result is the same whoever does.
  /// Throws NotFinite for the loss.
  std::optional<EvalResult> validate(const GoOn& go_on) const;

 private:
  const LanguageModel& model_;
  const TokenShards& text_;
  ConvPath conv_;
  std::int64_t parts_;
  RankGroup ranks_;
};

/// Nats per token.
double loss_of(const EvalResult& result);

/// Enters a validation after the steps of `state` into it; whether it is the best so far.
bool judge(TrainState& state, double loss);

}  // namespace sluice
