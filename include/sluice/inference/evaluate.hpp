#pragma once
// Evaluation: the perplexity of a model on a text.

#include <cstdint>
#include <functional>
#include <span>

#include "sluice/models/language_model.hpp"

namespace sluice {

/// Random access to the tokens of a text: fills `out` with tokens [begin, begin + out.size()).
using TokenReader = std::function<void(std::int64_t begin, std::span<std::int32_t> out)>;

/// How an evaluation runs. The result does not depend on any of these (up to rounding).
struct EvalOptions {
  /// Parallel segments the text is cut into, each warmed up by the receptive_field() - 1 tokens
  /// before it; 0 chooses. At least 1 otherwise.
  std::int64_t segments = 0;
  /// Positions per segment in one forward pass; 0 chooses.
  std::int64_t chunk = 0;
  Precision precision = Precision::f32;
  /// Called now and then with (tokens scored, tokens in all), when set.
  std::function<void(std::int64_t, std::int64_t)> progress;
};

/// What `sluice eval --json` prints. evaluate() fills the fields that follow from the tokens; the
/// caller, who knows the text, adds `characters` and `oov` through finish_text().
struct EvalResult {
  /// Σ -ln p(token | all tokens before it), in nats, and the number of tokens in the sum.
  double nll = 0;
  std::int64_t tokens = 0;
  /// exp(nll / tokens).
  double perplexity = 0;
  /// nll / ln 2 / characters; 0 when the characters are not known.
  double bits_per_character = 0;
  std::int64_t characters = 0;
  std::int64_t oov = 0;
  std::int64_t vocabulary = 0;
  double seconds = 0;
  double tokens_per_second = 0;

  /// Sets characters, oov and bits_per_character.
  void finish_text(std::int64_t text_characters, std::int64_t text_oov);
};

/// Scores every one of the `count` tokens, the first with `eos` as its left context. Each token is
/// scored with its full receptive field: the text is read as overlapping segments whose first
/// receptive_field() - 1 predictions are discarded (except the text's own beginning), side by side
/// in one batch, in chunks with the state carried. Memory does not depend on `count`. The model is
/// left unfrozen. Throws UsageError for an empty text or negative options; Error when a token is
/// outside the vocabulary.
EvalResult evaluate(LanguageModel& model, const TokenReader& read, std::int64_t count,
                    std::int32_t eos, const EvalOptions& options = {});
/// The same for tokens in memory.
EvalResult evaluate(LanguageModel& model, std::span<const std::int32_t> tokens, std::int32_t eos,
                    const EvalOptions& options = {});

}  // namespace sluice
