#pragma once
// Evaluation: the perplexity of a model on a text.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/pieces.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/predictor.hpp"
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
  /// Of a model: only the tokens [begin, end) are scored, those before them being their context;
  /// end 0: to the last. The result's characters and unknown tokens are those of the whole text.
  std::int64_t begin = 0, end = 0;
  /// The token for text outside the vocabulary (Tokenizer::unk()), whose share is told apart; -1:
  /// none.
  std::int32_t unknown = -1;
  /// Called now and then with (tokens scored, tokens in all), when set.
  std::function<void(std::int64_t, std::int64_t)> progress;
};

/// What an evaluation found; docs/formats.md documents its JSON.
struct EvalResult {
  /// Σ -ln p(token | all tokens before it), in nats, and the number of tokens in the sum.
  double nll = 0;
  std::int64_t tokens = 0;
  /// exp(nll / tokens).
  double perplexity = 0;
  /// nll / ln 2 / characters; 0 when the corpus does not know its characters.
  double bits_per_character = 0;
  std::int64_t characters = 0;
  /// exp of the mean over the tokens other than EvalOptions::unknown; 1 when there are none.
  double known_perplexity = 1;
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
/// on the length of the text. Each document of a corpus that is in documents is scored as if it
/// were alone; many are read side by side. Each token is predicted under its label, where the
/// corpus has labels, else under the model's (FrozenModel::conditioned()). Any number of threads
/// may evaluate one model at once. Throws UsageError for negative options, Error when the corpus is
/// empty or its vocabulary is not the model's.
EvalResult evaluate(const FrozenModel& model, const TokenShards& corpus,
                    const EvalOptions& options = {});

/// The same in parts, each a piece of `work`, that the length of the text and the model alone
/// determine: the same result for any number of processes. The one that leads gets it; others get
/// what is known of the text without scoring it. `segments` and `warm_up` are of each part, `begin`
/// and `end` do not count. A model without a bounded receptive field has one part.
EvalResult evaluate_parts(const FrozenModel& model, const TokenShards& corpus,
                          const EvalOptions& options, PieceWork& work);

/// The same of any predictor: the text, or each of its documents, is read from its beginning to its
/// end in one pass, exactly;
/// of the options only `chunk`, `unknown` and `progress` matter.
EvalResult evaluate(const Predictor& predictor, const TokenShards& corpus,
                    const EvalOptions& options = {});

/// -ln p of every token of the corpus in nats, as that evaluation sums them. Throws as it does.
std::vector<double> token_nll(const Predictor& predictor, const TokenShards& corpus,
                              const EvalOptions& options = {});

/// Weights of a mixture, found for a text.
struct MixtureWeights {
  std::vector<double> weights;
  /// Of the mixture on that text, per token.
  double perplexity = 0;
  std::int64_t iterations = 0;
};

/// The weights that make a text most probable, by expectation-maximisation (Jelinek & Mercer 1980):
/// weight_i becomes the mean over tokens of weight_i p_i / Σ_j weight_j p_j until that changes
/// nothing; the likelihood has one maximum and rises with every step. nll[i] are model i's
/// token_nll(). Throws Error for no models, no tokens, and for numbers of tokens that differ.
MixtureWeights tune_mixture(std::span<const std::vector<double>> nll);

}  // namespace sluice
SLUICE_API_END
