#pragma once
// Evaluation: the perplexity of a model on a text.

#include <cstdint>
#include <functional>

#include "sluice/base/api.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/text/corpus.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How an evaluation runs. The result does not depend on any of these (up to rounding), `warm_up`
/// excepted.
struct EvalOptions {
  /// Segments the text is cut into, read side by side, each warmed up by the receptive_field() - 1
  /// tokens before it; 0 chooses.
  std::int64_t segments = 0;
  /// For a model without a bounded receptive field: 0 reads the text as one segment, which is exact
  /// and, for recurrent layers, slow; n > 0 reads segments side by side, each warmed up by the n
  /// tokens before it.
  std::int64_t warm_up = 0;
  /// Positions per segment in one forward pass; 0 chooses.
  std::int64_t chunk = 0;
  /// Called now and then with (tokens scored, tokens in all), when set.
  std::function<void(std::int64_t, std::int64_t)> progress;
};

/// What `sluice eval --json` prints.
struct EvalResult {
  /// Σ -ln p(token | all tokens before it), in nats, and the number of tokens in the sum.
  double nll = 0;
  std::int64_t tokens = 0;
  /// exp(nll / tokens).
  double perplexity = 0;
  /// nll / ln 2 / characters; 0 when the corpus does not know its characters.
  double bits_per_character = 0;
  std::int64_t characters = 0;
  /// Tokens that are not in the vocabulary, and its size.
  std::int64_t oov = 0;
  std::int64_t vocabulary = 0;
  double seconds = 0;
  double tokens_per_second = 0;
};

/// Scores every token of the corpus, the first with eos as its left context. Each token is scored
/// with its full receptive field, where that is bounded: the text is read as overlapping segments
/// whose first receptive_field() - 1 predictions are discarded (except at the text's own
/// beginning), side by side in one batch, in chunks with the state carried. Memory does not depend
/// on the length of the text. Any number of threads may evaluate one model at once. Throws
/// UsageError for negative options, Error when the corpus is empty or its vocabulary is not the
/// model's.
EvalResult evaluate(const FrozenModel& model, const TokenShards& corpus,
                    const EvalOptions& options = {});

}  // namespace sluice
SLUICE_API_END
