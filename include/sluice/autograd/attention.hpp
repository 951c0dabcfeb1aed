#pragma once
// Causal multi-head attention over a sliding window, and rotary position embedding.

#include <cstdint>
#include <span>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/tensor/attention.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Multi-head attention (Vaswani et al. 2017, eq. 1) in which position t sees itself and up to
/// window - 1 positions before it, those of the context included; for each head, d = D/H:
///   y[t] = Σ_j softmax_j(q[t] · k[j] / √d) v[j],  t - window < j <= t
/// q, k, v [B, T, D]; k_context, v_context [B, S, D] come before them in time (constants, no
/// gradient) or are undefined; y [B, T, D]. float32 and float64.
///
/// Computed for one block of queries after another, per stream and head (Dao et al. 2022, the
/// softmax over the block's whole window at once): memory grows with T, not T². Kept for the
/// gradient are q, k, v and two numbers for each row's softmax; the scores are computed again.
/// Each head of a stream is one thread's, so results do not depend on the number of threads.
/// A NaN reaches the outputs of its head and stream that share its blocks.
/// Throws Error naming the shapes, UsageError for heads that do not divide D, an odd head width
/// with rotary, or a window below 1.
Variable causal_attention(const Variable& q, const Variable& k, const Variable& v,
                          const Tensor& k_context, const Tensor& v_context,
                          const Attention& options);

/// The same with q, k and v side by side, as one projection gives them: qkv [B, T, 3D]; context
/// [B, S, 2D] (k, v) or undefined; y [B, T, D]. Where `visible` is given, [B], text b sees the last
/// visible[b] positions of its context alone.
Variable causal_self_attention(const Variable& qkv, const Tensor& context, const Attention& options,
                               std::span<const std::int32_t> visible = {});

/// The context for the next chunk of causal_self_attention: columns D.. of the last `window` - 1
/// rows of [context, qkv] in time, [B, min(S + T, window - 1), 2D].
Tensor next_attention_context(const Tensor& qkv, const Tensor& context, std::int64_t window);

/// Rotary position embedding (Su et al. 2021, eq. 34) of each of `heads` heads of x [B, T, D], row
/// t at position first_position + t: elements i and i + d/2 of a head (d = D/heads, the half-split
/// pairs of GPT-NeoX, not the interleaved ones of the paper) turn by the angle
/// position · 10000^(-2i/d). Throws UsageError for heads that do not divide D or an odd d.
Variable rotary(const Variable& x, std::int64_t heads, std::int64_t first_position);

/// Throws UsageError, naming `what`, unless heads divide dim, and evenly into pairs with `rotary`.
void check_heads(const char* what, std::int64_t dim, std::int64_t heads, bool rotary);

}  // namespace sluice
SLUICE_API_END
