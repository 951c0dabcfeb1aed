#pragma once
// The feed-forward layer of a Transformer whose weights do not change.

#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/tensor/prepared_weight.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What rows of a feed-forward layer's inner numbers are apart: they begin at cache lines, and do
/// not share the sets of the cache.
std::int64_t feed_forward_pitch(std::int64_t columns);

/// y = unit(x·W_inᵀ + b_in)·W_outᵀ + b_out (autograd/feed_forward.hpp), with an elementwise unit or
/// its gate. Constant: any number of threads may call it at once.
struct PreparedFeedForward {
  PreparedWeight in;
  Tensor in_bias;  ///< or undefined
  PreparedWeight out;
  Tensor out_bias;  ///< or undefined

  /// x [R, C] to [R, N].
  Tensor forward(const Tensor& x, const Unit& unit) const;
};

}  // namespace sluice
SLUICE_API_END
