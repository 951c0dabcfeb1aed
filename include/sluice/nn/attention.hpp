#pragma once
// Causal self-attention as a layer.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "sluice/autograd/attention.hpp"
#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"
#include "sluice/nn/frozen_transformer.hpp"
#include "sluice/nn/init.hpp"
#include "sluice/nn/module.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How a Transformer knows positions: not at all (but for the mask), by rotation of queries and
/// keys (Su et al. 2021), or by learned vectors added to the tokens' (Vaswani et al. 2017 §3.5).
enum class Positions : std::uint8_t { none, rotary, learned };

/// "none", "rotary", "learned".
const EnumNames<Positions>& enum_names(Positions);

/// y = attention(x·W_qkvᵀ + b_qkv)·W_outᵀ + b_out, multi-head, causal, over a sliding window
/// (causal_self_attention). What it carries from chunk to chunk are keys and values, not rotated,
/// of the last window - 1 positions.
///
/// Parameters, in PyTorch's Linear layout: qkv.weight [3D, D] (queries, keys, values: as
/// MultiheadAttention's in_proj_weight), qkv.bias [3D], out.weight [D, D], out.bias [D]; no biases
/// where told so. Initial weights: Xavier-normal for each D × D matrix, deviation 1/√D (Glorot &
/// Bengio 2010), times output_scale on the way out; biases 0. A layer shares its parameters with
/// its copies. One thread at a time may train or change it; forward passes that record nothing may
/// run side by side.
class CausalSelfAttention {
 public:
  struct Options {
    std::int64_t dim = 0, heads = 1;
    /// Positions a position sees, itself included.
    std::int64_t window = 0;
    Positions positions = Positions::rotary;
    bool bias = true;
    double output_scale = 1;
  };

  /// Draws from streams key.stream and key.stream + 1. Throws UsageError for heads that do not
  /// divide dim, an odd head width with rotary positions, or a window below 1.
  CausalSelfAttention(const Options& options, DType dtype, InitKey key);

  /// x [B, T, D] to the same shape. Reads `context` [B, S, 2D] as what came before (undefined: the
  /// start of a text) and replaces it by a new tensor for the next chunk, S <= window - 1.
  /// `visible` as causal_self_attention() has it.
  Variable forward(const Variable& x, Tensor& context, Precision precision,
                   std::span<const std::int32_t> visible = {}) const;

  /// For use without training; independent of this layer if options.copy. float32 layers only.
  FrozenAttention freeze(const FreezeOptions& options) const;

  const Options& options() const { return options_; }
  void collect(Parameters& parameters, const std::string& prefix) const;

 private:
  Options options_;
  Variable qkv_, qkv_bias_, out_, out_bias_;
};

}  // namespace sluice
SLUICE_API_END
