#pragma once
// What the gradients of recurrent layers share: checks, and products over all steps. The forward
// pass is in tensor/detail/recurrent_cells.hpp.

#include "op_support.hpp"
#include "sluice/autograd/recurrent.hpp"
#include "sluice/tensor/detail/recurrent_cells.hpp"

namespace sluice::recurrent {

/// Blocks of H rows that a layer's weights have.
struct WeightBlocks {
  std::int64_t ih, hh, bias;
};
/// Checks x and the weights of a layer: weight_ih [blocks.ih · H, C], weight_hh [blocks.hh · H, H]
/// ([H] without blocks), biases of blocks.bias · H elements; H is weight_hh's last dimension.
Call check_call(const char* op, const Variable& x, const RecurrentWeights& weights,
                const WeightBlocks& blocks, Precision precision);
/// Throws Error unless `state` is undefined or [B, H] of the call's type.
void check_state(const char* op, const char* name, const Tensor& state, const Call& call);

/// The shape of a layer's output, [B, T, H].
inline Shape output_shape(const Call& call) { return {call.batch(), call.time(), call.hidden}; }

/// The matrix of a call's steps, in panels where that pays.
StepMatrix step_matrix(const Tensor& weight, bool transposed, const Call& call);

/// The input part of all steps, x · weightᵀ.
void input_product(const InputPart& to, const Tensor& x, const Tensor& weight, const Call& call);
/// Gradients of the input part from dgates' columns [first_column, ..): dx [B, T, C] (undefined if
/// not wanted), and weight_ih's given to it.
Tensor input_gradient(const Tensor& dgates, std::int64_t first_column, const Tensor& weight,
                      const Call& call);
/// dgatesᵀ · inputs over all steps, [columns, C].
Tensor weight_gradient(const Tensor& dgates, std::int64_t first_column, std::int64_t columns,
                       const Tensor& inputs, std::int64_t input_columns, const Call& call);
/// Σ over all steps of columns of dgates.
Tensor bias_gradient(const Tensor& dgates, std::int64_t first_column, std::int64_t columns,
                     const Call& call);

}  // namespace sluice::recurrent
