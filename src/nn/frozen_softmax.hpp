#pragma once
// Frozen embeddings and softmax layers, from the weights of their trained forms.

#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/nn/frozen_tokens.hpp"
#include "sluice/tensor/prepared_weight.hpp"

namespace sluice {

/// A full softmax: table [V, D]; weight [V, H], which may be the table; bias [V].
std::unique_ptr<FrozenTokens> freeze_full(const Tensor& table, const Tensor& weight,
                                          const Tensor& bias, const FreezeOptions& options);

/// One tail of an adaptive softmax: h·projectionᵀ·outputᵀ.
struct TailWeights {
  Tensor projection, output;
};

/// An adaptive softmax of bands that end at `ends`.
struct AdaptiveWeights {
  /// Token vectors [V, D]; undefined where they are `head`'s first rows and the tails' (tied).
  Tensor table;
  /// [ends[0] + tails, H], with bias.
  Tensor head, bias;
  std::vector<TailWeights> tails;
  std::vector<std::int64_t> ends;
};
std::unique_ptr<FrozenTokens> freeze_adaptive(const AdaptiveWeights& weights,
                                              const FreezeOptions& options);

}  // namespace sluice
