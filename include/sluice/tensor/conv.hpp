#pragma once
// Causal convolution over time as matrix products, without im2col.
//
// B batch, T time, C channels in, M outputs (2N for a gated layer), K kernel width, P = T + K - 1
// padded rows per stream. The padded input xp [B, P, C] holds K-1 rows of left context before each
// stream's T inputs. Rows of the flattened xp are shifted by one per tap, so each tap is one GEMM
// over all streams at once; the K-1 rows of output that straddle two streams are computed and
// ignored. Outputs therefore keep P rows per stream, of which the first T mean something. Rows of
// z, dz and w may be longer than M (their last dimension says how long): what is behind M is not
// used.

#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How a causal convolution computes: `direct` takes K products for each output, `fast` fewer by
/// Toom-Cook's algorithm, for kernel widths 2 to 7; `automatic` whichever measured
/// faster for the shape (float64: direct). A kernel width of 1, and single steps, are always
/// direct.
enum class ConvPath : std::uint8_t { automatic, direct, fast };
/// "auto", "direct", "fast".
const EnumNames<ConvPath>& enum_names(ConvPath);

struct ConvShape {
  std::int64_t batch = 0, time = 0, channels = 0, outputs = 0, kernel = 1;
  std::int64_t pitch() const { return time + kernel - 1; }
};

/// C, M and K.
struct ConvWidths {
  std::int64_t channels = 0, outputs = 0, kernel = 1;
};

/// Input of a convolution: x [B, T, C] (or, of streams of their own lengths, [ΣT, C]) after
/// `context` [B, K-1, C] (undefined means zeros).
struct ConvInput {
  Tensor x;
  Tensor context;
};

/// z[b, t] = Σ_k xp[b, t + k] · w[k] for t < T: xp [B, P, C], w [K, C, M] (both float32, both
/// float64, or both bfloat16), z [B, P, M] (float32 for bfloat16 operands). Rows T.. of z are
/// undefined.
void conv_forward(const Tensor& z, const Tensor& xp, const Tensor& w, const ConvShape& shape);

/// dx[b, t] = Σ_k dz[b, t + K - 1 - k] · w[k]ᵀ, the gradient of the T inputs (none for the
/// context): dz [B, P, M] whose rows T.. are zero, dx [B, P, C] whose rows T.. are undefined.
void conv_backward_input(const Tensor& dx, const Tensor& dz, const Tensor& w,
                         const ConvShape& shape);

/// dw[k] = Σ_{b,t} xp[b, t + k]ᵀ · dz[b, t]: dw [K, C, M]; dz as above.
void conv_backward_weight(const Tensor& dw, const Tensor& xp, const Tensor& dz,
                          const ConvShape& shape);

}  // namespace sluice
SLUICE_API_END
