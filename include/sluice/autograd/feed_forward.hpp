#pragma once
// The position-wise feed-forward layer of a Transformer, gated or not, as one differentiable op.

#include "sluice/autograd/dropout.hpp"
#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/tensor/precision.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How gated_feed_forward computes.
struct FeedForward {
  Unit unit = {};
  /// Of the unit's output; element (r, j) is number r·F + j.
  Dropout dropout = {};
  Precision precision = Precision::f32;
  /// Compute the projection again for the gradient instead of keeping it.
  bool recompute = false;
};

/// The feed-forward layer with any unit (Vaswani et al. 2017, eq. 2; gated: Shazeer 2020, eq. 5
/// and 6), row by row:
///   z = x·W_inᵀ + b_in,  h = dropout(unit(z)),  y = h·W_outᵀ + b_out
/// x [R, C]; w_in [unit.inputs(F), C], a gated unit's a half in its first F rows and the gate half
/// in its last; b_in [unit.inputs(F)] or undefined; w_out [N, F]; b_out [N] or undefined; y [R, N].
/// Weights are laid out as PyTorch's Linear. float32 and float64.
///
/// Kept for the gradient are x and z, or x alone with `recompute`; h is computed again, a block of
/// rows at a time. Gradients of both weights are sums over those blocks in order, so they do not
/// depend on the number of threads but for oneDNN's own splitting.
/// Throws Error naming the shapes that do not fit.
Variable gated_feed_forward(const Variable& x, const Variable& w_in, const Variable& b_in,
                            const Variable& w_out, const Variable& b_out,
                            const FeedForward& options);

}  // namespace sluice
SLUICE_API_END
