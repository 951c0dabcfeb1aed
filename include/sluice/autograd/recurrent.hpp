#pragma once
// Differentiable recurrent layers, each one op over a whole sequence: x [B, T, C] to y [B, T, H],
// y[b, t] = h_t. The input part of all steps is one matrix product, and so are the gradients of
// each weight; a step takes one product by the recurrent weights (two where r ⊙ h₋ goes through a
// matrix) and one fused pointwise pass.
//
// h₋ is the state before the step. States are [B, H] and carried: on entry the state before the
// first step (undefined means zeros), on return that after the last. They are constants: no
// gradient flows into them (truncated back-propagation through time, Williams & Peng 1990).
//
// float32 and float64. At Precision::bf16 the operands of every product are rounded to bfloat16
// once and summed in float32; pointwise work and states stay float32. Results are the same bit for
// bit from call to call with the same number of threads; how a sequence is cut into calls may
// change their rounding. NaN stays in its row of the batch.
//
// All throw Error, naming the op, what is expected and what was got, when shapes or types do not
// fit or x is empty.

#include <cstdint>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/tensor/cell_forms.hpp"
#include "sluice/tensor/precision.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Weights of a layer, shaped as PyTorch's cells have them: weight_ih [G·H, C], weight_hh [G·H, H],
/// biases [G·H] or undefined. bias_hh is added to bias_ih wherever the cell makes no difference.
struct RecurrentWeights {
  Variable weight_ih;
  Variable weight_hh;
  Variable bias_ih;
  Variable bias_hh;
};

/// Elman's network (Elman 1990; torch.nn.RNN): h = f(W_ih x + b_ih + W_hh h₋ + b_hh), f any
/// activation (UsageError for a gate). G = 1.
Variable rnn_layer(const Variable& x, const RecurrentWeights& weights, const Unit& f, Tensor& h,
                   Precision precision = Precision::f32);

/// Long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000; torch.nn.LSTM):
///   i = σ(..), f = σ(..), g = tanh(..), o = σ(..) of W_ih x + b_ih + W_hh h₋ + b_hh
///   c = f ⊙ c₋ + i ⊙ g, h = o ⊙ tanh(c)
/// Weights hold the blocks i, f, g, o in this order, without those of removed gates: G =
/// gates.blocks().
Variable lstm_layer(const Variable& x, const RecurrentWeights& weights, LstmGates gates, Tensor& h,
                    Tensor& c, Precision precision = Precision::f32);

/// Gated recurrent unit (Cho et al. 2014; torch.nn.GRU):
///   r = σ(..), z = σ(..), n as GruReset says, h = (1 - z) ⊙ n + z ⊙ h₋
/// Blocks r, z, n: G = 3.
Variable gru_layer(const Variable& x, const RecurrentWeights& weights, GruReset reset, Tensor& h,
                   Precision precision = Precision::f32);

/// MUT1 (Jozefowicz et al. 2015, section 4):
///   z = σ(W_xz x + b_z), r = σ(W_xr x + W_hr h₋ + b_r)
///   h = tanh(W_hh (r ⊙ h₋) + tanh(x') + b_h) ⊙ z + h₋ ⊙ (1 - z)
/// x' is x where C = H, as in the paper, else W_xh x. weight_ih holds W_xr, W_xz and, where C ≠ H,
/// W_xh: [2H, C] or [3H, C]; weight_hh holds W_hr and W_hh: [2H, H]; bias_ih holds b_r, b_z, b_h:
/// [3H]. There is no bias_hh.
Variable mut1_layer(const Variable& x, const RecurrentWeights& weights, Tensor& h,
                    Precision precision = Precision::f32);

/// Independently recurrent network (Li et al. 2018, eq. 2): h = relu(W x + u ⊙ h₋ + b), weight_ih
/// [H, C], weight_hh the vector u [H], bias_ih [H] or undefined. There is no bias_hh.
Variable indrnn_layer(const Variable& x, const RecurrentWeights& weights, Tensor& h,
                      Precision precision = Precision::f32);

}  // namespace sluice
SLUICE_API_END
