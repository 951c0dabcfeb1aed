#pragma once
// Generating text: one that streams, or many at once.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/inference/engine.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/sample.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

struct GenerateOptions {
  SamplingOptions sampling = {};
  TokenRules rules = {};
  /// Tokens to generate at most; >= 0.
  std::int64_t tokens = 100;
  /// Generation ends before the first of these texts would appear; empty ones are left out.
  std::vector<std::string> stops = {};
};

/// Why generation ended.
enum class StopReason : std::uint8_t { tokens, stop_text, cancelled };

struct GenerateResult {
  /// What was generated (the prompt not included), as it was emitted.
  std::string text;
  /// The tokens drawn, those of the stop text included.
  std::vector<std::int32_t> ids;
  StopReason reason = StopReason::tokens;
  std::int64_t prompt_tokens = 0;
  /// Words of the prompt that the vocabulary lacks, in order, each once: read as <unk>.
  std::vector<std::string> unknown_words;
  double seconds = 0;
};

/// Receives generated text piece by piece; returns false to cancel.
using EmitText = std::function<bool(std::string_view)>;

/// Continues `prompt` (which may be empty: the start of a line), calling `emit` as text becomes
/// certain: valid UTF-8 (valid_text() of what the tokens say) that cannot belong to a stop text any
/// more. An <eos> is emitted as a line end. Reads the prompt in parallel, then one token at a time,
/// in constant time and memory per token. Any number of threads may generate with one model at
/// once. Throws UsageError for options out of range, Error for a prompt that is not UTF-8.
GenerateResult generate(const FrozenModel& model, const Tokenizer& tokenizer,
                        std::string_view prompt, const GenerateOptions& options,
                        const EmitText& emit = {});

/// How many texts are made of each prompt, and how.
struct GenerateManyOptions {
  GenerateOptions each = {};
  /// Texts of each prompt; >= 1. The i-th is drawn with the seed each.sampling.seed + i.
  std::int64_t samples = 1;
  /// 0: they are drawn. n > 0: they are the best that a beam search with so many finds; `samples`
  /// is then at most n.
  std::int64_t beam = 0;
  /// a: what the search finds of n tokens is worth Σ ln p / nᵃ. 0: its probability; 1: the mean.
  double length_penalty = 1;
  /// Whether the prompts' own tokens are told.
  bool echo = false;
  EngineOptions engine = {};

  /// Throws UsageError for a value out of range; biases are of tokens below `vocabulary`.
  void validate(std::int64_t vocabulary) const;
};

/// One of many texts.
struct Generation {
  /// Its prompt's place, and which of the prompt's texts it is; from 0.
  std::size_t prompt = 0;
  std::int64_t sample = 0;
  /// One sentence when it could not be made (a prompt that is not UTF-8, say); else empty.
  std::string error;
  std::string text;
  StopReason reason = StopReason::tokens;
  /// The stop text that ended it; "" for none.
  std::string stop;
  /// The tokens made, those of the stop text included, with their log-probabilities; and with
  /// `echo` those of the prompt, whose first has its log-probability behind an eos().
  std::vector<EngineToken> tokens, prompt_tokens;
  /// Σ of the log-probabilities of `tokens`; and of a beam its score.
  double log_probability = 0;
  double score = 0;
  std::vector<std::string> unknown_words;
};

/// Continues all of `prompts`, each as often as the options say, side by side in an Engine, and
/// calls `emit` for each, in order of prompts and samples, as soon as it and those before it are
/// ready. What is made of a prompt does not depend on the other prompts, but for rounding
/// (EngineOptions::deterministic). Throws UsageError for options out of range.
void generate_many(const std::shared_ptr<const FrozenModel>& model, const Tokenizer& tokenizer,
                   std::span<const std::string> prompts, const GenerateManyOptions& options,
                   const std::function<void(const Generation&)>& emit);

}  // namespace sluice
SLUICE_API_END
