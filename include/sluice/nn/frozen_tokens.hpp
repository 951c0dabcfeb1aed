#pragma once
// Where tokens enter and leave a model that is used, not trained.

#include <cstdint>
#include <span>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Embeddings and softmax of a language model over a vocabulary of V tokens, with weights made
/// ready once (TokenLayers::freeze). Immutable: any number of threads may call it at once. All
/// throw Error for a token outside the vocabulary.
class FrozenTokens {
 public:
  FrozenTokens() = default;
  virtual ~FrozenTokens() = default;
  FrozenTokens(const FrozenTokens&) = delete;
  FrozenTokens& operator=(const FrozenTokens&) = delete;

  /// Token vectors: ids [R] to float32 [R, D].
  virtual Tensor embed(std::span<const std::int32_t> ids) const = 0;
  /// -ln p(targets[r] | h[r]) for h float32 [R, H], without computing the whole distribution where
  /// the softmax is adaptive.
  virtual std::vector<double> nll(const Tensor& h, std::span<const std::int32_t> targets) const = 0;
  /// ln p of every token: h [R, H] to float32 [R, V].
  virtual Tensor log_probabilities(const Tensor& h) const = 0;
};

}  // namespace sluice
SLUICE_API_END
