#pragma once
// Transformer blocks and their stack.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/nn/attention.hpp"
#include "sluice/nn/feed_forward.hpp"
#include "sluice/nn/forward_options.hpp"
#include "sluice/nn/frozen_transformer.hpp"
#include "sluice/nn/norm.hpp"
#include "sluice/nn/probe.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The shape of a Transformer decoder.
struct TransformerOptions {
  /// Width D of the vectors between blocks, heads of each, number L of blocks.
  std::int64_t dim = 0, heads = 1, depth = 0;
  /// Positions a position sees in each block, itself included.
  std::int64_t window = 128;
  Positions positions = Positions::rotary;
  /// Unit and inner width of the feed-forward layers; 0 takes shazeer_width.
  std::string ffn = "swiglu";
  std::int64_t ffn_width = 0;
  /// Of the norms, a name of make_causal_norm, and its groups.
  std::string norm = "layer";
  std::int64_t groups = 1;
  /// Whether projections have biases.
  bool bias = true;
  /// Labels that add to the inputs of attention and feed-forward layers, behind their norms; the
  /// unknown one not counted.
  std::int64_t labels = 0;
};

/// A pre-norm block (Xiong et al. 2020; Radford et al. 2019 §2.3):
///   x ← x + dropout(attention(norm(x))),  x ← x + dropout(feed_forward(norm(x)))
///
/// and of a model with labels norm(x) + V·h in place of norm(x), each with its own V.
///
/// Parameters: attention_norm.*, attention.*, ffn_norm.*, ffn.*, and, with labels,
/// attention_condition.weight and ffn_condition.weight (nn/condition.hpp). Draws initial weights
/// from streams key.stream to key.stream + kInitStreams - 1. A layer shares its parameters with its
/// copies. One thread at a time may train or change it; forward passes that record nothing may run
/// side by side.
class TransformerBlock {
 public:
  static constexpr std::uint32_t kInitStreams = 4;

  TransformerBlock(const TransformerOptions& options, DType dtype, InitKey key);

  /// x [B, T, D] to the same shape; `context` as in CausalSelfAttention::forward. Dropout is drawn
  /// in streams `stream` and the one behind. `probe` is that of the options, for this block,
  /// `visible` as causal_self_attention() has it.
  Variable forward(const Variable& x, Tensor& context, const ForwardOptions& options,
                   std::uint32_t stream, const LayerProbe& probe = {},
                   std::span<const std::int32_t> visible = {}) const;

  /// For use without training; independent of this block if options.copy. float32 blocks only.
  FrozenTransformerBlock freeze(const FreezeOptions& options) const;

  void collect(Parameters& parameters, const std::string& prefix) const;

 private:
  Norm attention_norm_;
  CausalSelfAttention attention_;
  Condition attention_condition_;
  Norm ffn_norm_;
  Condition ffn_condition_;
  GatedFeedForward ffn_;
};

/// Blocks one after another and a norm behind the last. With learned positions a vector for the
/// position, modulo the window, is added to each input first.
///
/// Initial weights are those of the layers, the last of each half of a block scaled by 1/√(2L) so
/// that the sum over blocks does not grow with their number (Radford et al. 2019 §2.3); position
/// vectors are normal of deviation 0.02 (Radford et al. 2018 §4.1).
///
/// Parameters: positions.weight [window, D] where positions are learned, blocks.I.* and norm.*. As
/// safe to share as a block.
class TransformerStack {
 public:
  /// Draws initial weights from streams key.stream on. Throws UsageError for sizes below 1, heads
  /// that do not divide dim, an odd head width with rotary positions, and what make_causal_norm
  /// refuses.
  TransformerStack(const TransformerOptions& options, DType dtype, InitKey key);

  /// x [B, T, D] to the same shape. `state` is empty at the start of a text, else what the chunk
  /// before left: for each block the keys and values of at most window - 1 positions [B, S, 2D],
  /// then with learned positions the streams' next positions, modulo the window, int32 [B], and
  /// where the options tell of texts that start how many of those keys are a text's own, int32 [B].
  /// It is replaced, its tensors are not written. Dropout, on the input and on what each half of a
  /// block adds, is drawn in streams 0 .. 2L; the probe sees each block's feed-forward layer, and
  /// its output, as layer "blocks.I". Throws Error for a state of other shapes.
  Variable forward(const Variable& x, std::vector<Tensor>& state,
                   const ForwardOptions& options) const;

  /// For use without training; independent of this stack if options.copy. float32 stacks only.
  FrozenTransformer freeze(const FreezeOptions& options) const;

  const TransformerOptions& options() const { return options_; }
  /// Positions an output depends on.
  std::int64_t receptive_field() const { return options_.depth * (options_.window - 1) + 1; }
  void collect(Parameters& parameters, const std::string& prefix) const;

  /// Scalars that are trained, without building the stack.
  static std::int64_t parameter_count(const TransformerOptions& options);

 private:
  Variable add_positions(const Variable& x, const Tensor& before, Tensor& after) const;
  /// Positions of each text in the next chunk's context, after `time` more than `before`.
  Tensor next_visible(const Tensor& before, std::int64_t batch, std::int64_t time) const;

  TransformerOptions options_;
  Variable positions_;
  std::vector<TransformerBlock> blocks_;
  Norm norm_;
};

}  // namespace sluice
SLUICE_API_END
