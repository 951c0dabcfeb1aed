#pragma once
// The most probable continuations of a text.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/sample.hpp"

namespace sluice {

struct BeamOptions {
  /// Continuations kept side by side; >= 1. 1 is greedy.
  std::int64_t beam = 4;
  /// Tokens of a continuation, at most; >= 0.
  std::int64_t tokens = 100;
  /// a: a continuation of n tokens is worth Σ ln p / nᵃ. 0: its probability; 1: the mean.
  double length_penalty = 1;
  /// What is done to log-probabilities before they are summed for the score.
  TokenRules rules = {};

  /// Throws UsageError for a value out of range; biases are of tokens below `vocabulary`.
  void validate(std::int64_t vocabulary) const;
};

struct BeamHypothesis {
  std::vector<std::int32_t> ids;
  /// The model's ln p of each token, before rules.
  std::vector<float> log_probabilities;
  double score = 0;
  /// Whether it ended before it had all tokens.
  bool ended = false;
};

/// Whether a continuation of a prompt ends with its last token.
using EndsText = std::function<bool(std::span<const std::int32_t> made)>;

/// Beam search (Lowerre 1976; lengths normalised as by Wu et al. 2016, section 7, without its
/// constant): of all that the kept continuations may go on with, the most probable `beam`, less
/// those that have ended, are kept in every step, of equals those of a better continuation, then
/// the lower id; it is over when all have ended or have all their tokens. Returns at most `beam`,
/// the best first. Where `beam` is as large as the number of continuations they are the best of
/// all. `prompt` has at least one token. Throws Error as Session does, UsageError for options out
/// of range.
std::vector<BeamHypothesis> beam_search(const FrozenModel& model,
                                        std::span<const std::int32_t> prompt,
                                        const BeamOptions& options, const EndsText& ends = {});

}  // namespace sluice
