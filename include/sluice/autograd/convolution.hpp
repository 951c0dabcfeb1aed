#pragma once
// The fused causal convolution of the gated convolutional language model.

#include <cstdint>
#include <string>
#include <string_view>

#include "sluice/autograd/dropout.hpp"
#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/tensor/conv.hpp"
#include "sluice/tensor/precision.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Throws UsageError when `fast` cannot serve this kernel width.
void check_fast_kernel(std::int64_t kernel);

/// The fused layer of the gated convolutional language model (Dauphin et al. 2017, eq. 1), with
/// x' = dropout(x) preceded in time by `context`:
///   z[b, t] = Σ_k x'[b, t - (K - 1) + k] · w[k] + bias
///   y = (unit(z) + residual) · scale
/// x [B, T, C]; w [K, C, unit.inputs(N)]; bias [unit.inputs(N)]; residual [B, T, N] or undefined;
/// y [B, T, N].
struct CausalConv {
  Unit unit;
  double scale = 1;
  /// The K-1 inputs before the first, [B, K-1, C] (constants, no gradient); undefined means zeros.
  Tensor context;
  Dropout dropout;
  Precision precision = Precision::f32;
  ConvPath path = ConvPath::automatic;
  /// Weight normalisation (see weight_norm): when defined, [unit.inputs(N)], `w` is v and the
  /// filters are gain ⊙ v / ‖v‖.
  Variable gain;
  /// Outputs per tile of the fast path, 0 for the path's own choice.
  int tile = 0;
  /// Compute z again for the gradient instead of keeping it.
  bool recompute = false;
};
/// When next_context is given it receives the last K-1 rows of x' (with `context` before them), for
/// the next chunk.
Variable causal_conv_unit(const Variable& x, const Variable& w, const Variable& bias,
                          const Variable& residual, const CausalConv& options,
                          Tensor* next_context = nullptr);

}  // namespace sluice
SLUICE_API_END
