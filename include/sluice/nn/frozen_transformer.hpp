#pragma once
// A Transformer that is used, not trained.

#include <span>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/nn/condition.hpp"
#include "sluice/nn/norm.hpp"
#include "sluice/nn/unit_layer.hpp"
#include "sluice/tensor/key_pages.hpp"
#include "sluice/tensor/prepared_feed_forward.hpp"
#include "sluice/tensor/prepared_weight.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// CausalSelfAttention with its weights prepared.
struct FrozenAttention {
  PreparedWeight qkv;
  Tensor qkv_bias;  ///< or undefined
  PreparedWeight out;
  Tensor out_bias;  ///< or undefined
  Attention how;

  /// x [ΣT, D] to the same shape, as layer `layer` of a pass.
  Tensor forward(const Tensor& x, const KeyPass& keys, std::int64_t layer) const;
};

/// GatedFeedForward with its weights prepared.
struct FrozenFeedForward {
  PreparedFeedForward weights;
  UnitLayer unit;

  /// x [ΣT, D] to the same shape.
  Tensor forward(const Tensor& x) const;
};

/// TransformerBlock with its weights prepared.
struct FrozenTransformerBlock {
  Norm attention_norm;
  FrozenAttention attention;
  Norm ffn_norm;
  FrozenFeedForward ffn;
  FrozenCondition attention_condition = {};
  FrozenCondition ffn_condition = {};

  /// x [ΣT, D] to the same shape.
  Tensor forward(const Tensor& x, const KeyPass& keys, std::int64_t layer,
                 const RowLabels& labels = {}) const;
};

/// TransformerStack with its weights prepared (TransformerStack::freeze). Constant to its users:
/// any number of threads may call it at once.
struct FrozenTransformer {
  Tensor positions;  ///< learned vectors [window, D], or undefined
  std::vector<FrozenTransformerBlock> blocks;
  Norm norm;
  KeyLayout layout;

  /// Reads texts on side by side: x [ΣT, D] to the same shape; `texts` get their new pages.
  Tensor forward(const Tensor& x, const PackedRows& rows, std::span<const TextKeys> texts,
                 const RowLabels& labels = {}) const;
};

}  // namespace sluice
SLUICE_API_END
