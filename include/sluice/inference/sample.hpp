#pragma once
// Choosing the next token from its distribution.

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// temperature 0 is greedy (the most probable token, the first of equals). Otherwise p^(1/t),
/// restricted one after the other, each time to a part of what remains, normalised, and of equals
/// the lower ids first:
/// - to the top_k most probable tokens (0: all);
/// - to the smallest set of most probable tokens whose probability reaches top_p (nucleus sampling,
///   Holtzman et al. 2020, "The curious case of neural text degeneration");
/// - to the tokens at least min_p times as probable as the most probable (Nguyen et al. 2024);
/// - to the smallest set of tokens with the least |-ln p - H|, H the entropy, whose probability
///   reaches `typical` (Meister et al. 2023, "Locally typical sampling").
struct SamplingOptions {
  double temperature = 1;
  std::int64_t top_k = 0;
  double top_p = 1;
  double min_p = 0;
  double typical = 1;
  std::uint64_t seed = 1;

  /// Throws UsageError unless temperature >= 0 (and finite), top_k >= 0, 0 < top_p <= 1, 0 <= min_p
  /// <= 1 and 0 < typical <= 1.
  void validate() const;
};

/// What is done to the log-probabilities before a token is chosen, greedily or not; l is a token's
/// log-probability, "before" all tokens of the text so far, the prompt's included, "made" those
/// behind the prompt. In this order:
/// - repetition_penalty r: l · r for tokens that came before (Keskar et al. 2019, "CTRL", for whom
///   l is a logit; all of l are negative);
/// - l - presence_penalty - frequency_penalty · (times made) for tokens that were made;
/// - l + bias; a bias of minus infinity bans a token;
/// - no_repeat_ngram n: tokens that would complete a run of n tokens that came before are banned
///   (Paulus et al. 2017); 0: none.
struct TokenRules {
  struct Bias {
    std::int32_t id = 0;
    double bias = 0;
  };
  std::vector<Bias> bias = {};
  double repetition_penalty = 1;
  double presence_penalty = 0;
  double frequency_penalty = 0;
  std::int64_t no_repeat_ngram = 0;

  /// Whether they change nothing.
  bool empty() const;
  /// Throws UsageError unless repetition_penalty > 0, the other penalties are finite,
  /// no_repeat_ngram >= 0, and biases are of tokens of the vocabulary, finite or minus infinity.
  void validate(std::int64_t vocabulary) const;
};

/// Draws tokens; the n-th draw depends on the seed, n and the distribution alone (counter-based
/// random numbers). Throws UsageError for options that are out of range. One thread at a time.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);

  /// The next token, from log-probabilities [V]. Throws Error when they hold a NaN or V is 0.
  std::int32_t draw(std::span<const float> log_probabilities);

 private:
  SamplingOptions options_;
  std::uint64_t draws_ = 0;
};

/// What TokenRules do to the distributions of one text. One thread at a time.
class TextRules {
 public:
  /// Throws UsageError for rules out of range; biases are of tokens below `vocabulary`.
  TextRules(TokenRules rules, std::span<const std::int32_t> prompt, std::int64_t vocabulary);

  /// Changes log-probabilities [V] as what came before says; restore() undoes it, to the bit.
  void apply(std::span<float> log_probabilities);
  void restore(std::span<float> log_probabilities);
  /// A token was made.
  void add(std::int32_t id) { add(id, true); }

 private:
  struct Seen {
    std::int32_t id = 0;
    std::int64_t made = 0;
  };

  void add(std::int32_t id, bool made);
  void change(std::span<float> logs, std::int32_t id, float value);

  TokenRules rules_;
  /// The text, where rules ask for it, and its different tokens in order of appearance.
  std::vector<std::int32_t> text_;
  std::vector<Seen> seen_;
  std::unordered_map<std::int32_t, std::size_t> place_;
  /// What was written over: (token, value before).
  std::vector<std::pair<std::int32_t, float>> changed_;
};

/// Chooses the tokens of one text: what came before decides, by TokenRules, what may come. One
/// thread at a time.
class TextSampler {
 public:
  /// Throws as Sampler and TextRules do.
  TextSampler(const SamplingOptions& options, TokenRules rules,
              std::span<const std::int32_t> prompt, std::int64_t vocabulary)
      : sampler_(options), rules_(std::move(rules), prompt, vocabulary) {}

  /// The next token, which the text then ends with, from log-probabilities [V]: they are written
  /// over for a while, and are afterwards as they were. Throws as Sampler::draw(); also when every
  /// token is banned.
  std::int32_t next(std::span<float> log_probabilities);

 private:
  Sampler sampler_;
  TextRules rules_;
};

}  // namespace sluice
SLUICE_API_END
