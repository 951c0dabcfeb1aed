#pragma once
// Where tokens enter and leave a language model: embeddings and softmax layers, and their tied
// forms.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/nn/frozen_tokens.hpp"
#include "sluice/nn/init.hpp"
#include "sluice/nn/module.hpp"
#include "sluice/tensor/precision.hpp"
#include "sluice/tensor/prepared_weight.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The input and output of a language model over a vocabulary of V tokens. A layer shares its
/// parameters with its copies. One thread at a time may train or change it; forward passes that
/// record nothing may run side by side.
class TokenLayers {
 public:
  virtual ~TokenLayers() = default;
  /// Token vectors: ids [R] to [R, D].
  virtual Variable embed(std::span<const std::int32_t> ids, Precision precision) const = 0;
  /// Mean negative log-likelihood of targets [R] given h [R, H]: [1]; each row's goes to nll [R]
  /// when it is defined (zeros on entry).
  virtual Variable loss(const Variable& h, std::span<const std::int32_t> targets, const Tensor& nll,
                        Precision precision) const = 0;
  virtual void collect(Parameters& parameters) const = 0;
  /// For use without training; independent of these layers if options.copy.
  virtual std::unique_ptr<FrozenTokens> freeze(const FreezeOptions& options) const = 0;
};

struct TokenLayersOptions {
  std::int64_t vocabulary = 0;
  /// Embedding width D and width H of the last hidden layer.
  std::int64_t dim = 0, hidden = 0;
  /// Band ends of the adaptive softmax; empty means a full softmax.
  std::vector<std::int64_t> cutoffs = {};
  bool tie = false;
};

/// Untied: `embedding.weight` [V, D] and, full, `softmax.weight` [V, H], `softmax.bias` [V];
/// adaptive (Grave et al. 2017), as torch.nn.AdaptiveLogSoftmaxWithLoss with div_value 4 and
/// head_bias: `softmax.head.weight` [c₀ + bands, H], `softmax.head.bias`, and per tail i
/// `softmax.tails.i.projection.weight` [H/4^(i+1), H] and `softmax.tails.i.output.weight`.
///
/// Tied (D = H): full shares `embedding.weight` (Press & Wolf 2017; `softmax.bias` stays); adaptive
/// is the adaptive input of Baevski & Auli 2019 with shared bands and projections:
/// `embedding.bands.0.weight` [c₀, D], `embedding.bands.i.weight` [size, D/4^i] and
/// `embedding.bands.i.projection.weight` [D/4^i, D] serve both ends, the softmax adds
/// `softmax.clusters.weight` [bands, D] and `softmax.head.bias`.
std::unique_ptr<TokenLayers> make_token_layers(const TokenLayersOptions& options, DType dtype,
                                               InitKey key);

/// Scalars that are trained, without building the layers.
std::int64_t parameter_count(const TokenLayersOptions& options);
/// How many cutoffs an adaptive softmax on `hidden` channels can have: each band gets a quarter of
/// the width of the one before, and has at least one channel.
std::size_t most_cutoffs(std::int64_t hidden);

}  // namespace sluice
SLUICE_API_END
