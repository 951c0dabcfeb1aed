#pragma once
// Recurrent layers and stacks of them.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/autograd/recurrent.hpp"
#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"
#include "sluice/nn/forward_options.hpp"
#include "sluice/nn/frozen_recurrent.hpp"
#include "sluice/nn/init.hpp"
#include "sluice/nn/module.hpp"
#include "sluice/nn/norm.hpp"
#include "sluice/tensor/freeze.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The cells of autograd/recurrent.hpp.
enum class CellKind : std::uint8_t { rnn, lstm, gru, indrnn, mut1 };

/// "rnn", "lstm", "gru", "indrnn", "mut1".
const EnumNames<CellKind>& enum_names(CellKind);

/// One recurrent layer, from C (input) to H (hidden) channels. What other cells have is ignored.
struct RecurrentOptions {
  CellKind cell = CellKind::lstm;
  std::int64_t input = 0;
  std::int64_t hidden = 0;
  /// rnn: tanh or relu.
  Unit nonlinearity = {.f = Activation::tanh};
  /// lstm: initial bias of the forget gate (Gers et al. 2000; 1 after Jozefowicz et al. 2015).
  double forget_bias = 1;
  /// lstm: gates removed, that is, always open.
  bool without_input_gate = false;
  bool without_forget_gate = false;
  bool without_output_gate = false;
  /// gru: where the reset gate acts.
  GruReset reset = GruReset::after;
  /// indrnn: bound on |u|, applied at initialisation and by constrain(); 0 means none. For T steps
  /// without explosion Li et al. 2018 (section 4.1) take 2^(1/T).
  double recurrent_bound = 1;
};

/// Number of scalars of a layer's parameters, without building it.
std::int64_t parameter_count(const RecurrentOptions& options);

/// A layer with its parameters.
///
/// Parameters are named and shaped as PyTorch's cells': weight_ih [G·H, C], weight_hh [G·H, H],
/// bias_ih [G·H]. Where PyTorch's bias_hh only adds to bias_ih (rnn, lstm) there is none: to import
/// a PyTorch layer, bias_ih is the sum of its two. gru has bias_hh [3H] with reset after, as
/// PyTorch; gru with reset before, indrnn and mut1 have one bias. Blocks: lstm i, f, g, o without
/// those of removed gates; gru r, z, n; mut1 weight_ih [2H or 3H, C] r, z and where C ≠ H the
/// projection of x, weight_hh [2H, H] r, h, bias_ih [3H] r, z, h. indrnn: weight_ih [H, C],
/// weight_hh the vector u [H], bias_ih [H].
///
/// Initialisation: weights U(-1/√H, 1/√H), as torch.nn.RNNBase.reset_parameters(); biases 0, but
/// the forget gate's is forget_bias (Gers et al. 2000; Jozefowicz et al. 2015, section 2.1).
/// indrnn: weight_ih normal with variance 2/C (He et al. 2015, for relu), u uniform in [0,
/// recurrent_bound] (Li et al. 2018, section 4.1), in [0, 1] without a bound. A layer shares its
/// parameters with its copies. One thread at a time may train or change it; forward passes that
/// record nothing may run side by side.
class RecurrentLayer {
 public:
  /// Throws UsageError for sizes below 1, a gated nonlinearity, or a
  /// negative bound.
  RecurrentLayer(const RecurrentOptions& options, DType dtype, InitKey key);

  /// Tensors of state: h, and for lstm c.
  std::size_t state_count() const { return options_.cell == CellKind::lstm ? 2 : 1; }

  /// y [B, T, H] from x [B, T, C]. `state` is empty (zeros), or holds state_count() tensors [B, H]
  /// from a previous call; on return it holds the state after the last step, without gradient.
  /// Chunks with the state carried give what the whole gives. Throws Error when shapes do not fit.
  Variable forward(const Variable& x, std::vector<Tensor>& state,
                   Precision precision = Precision::f32) const;

  /// For use without training; independent of this layer if options.copy. float32 layers only.
  std::shared_ptr<const PreparedCell> freeze(const FreezeOptions& options) const;

  /// The gates that led from x [B, T, C] to y = forward(x), given the hidden state before the first
  /// step ([B, H], or undefined: zeros), computed once more from both: each activated, [B·T, H],
  /// constants. lstm: input, forget, output, without those removed; gru and mut1: reset, update;
  /// others: none.
  std::vector<std::pair<std::string_view, Variable>> gates(const Variable& x, const Tensor& before,
                                                           const Variable& y) const;

  /// indrnn: clamps u to [-recurrent_bound, recurrent_bound], to be called after each optimizer
  /// step. Nothing for other cells.
  void constrain() const;

  void collect(Parameters& parameters, const std::string& prefix) const;
  const RecurrentOptions& options() const { return options_; }

 private:
  RecurrentOptions options_;
  RecurrentWeights weights_;
};

/// `layers` layers, the first from layer.input to layer.hidden channels, the others from
/// layer.hidden to layer.hidden, each y = layer(dropout(norm(x))), plus x where `residual` and the
/// widths agree (for IndRNN: Li et al. 2018, section 4.3).
struct RecurrentStackOptions {
  RecurrentOptions layer = {};
  std::int64_t layers = 1;
  /// Of each layer's input, a name of make_causal_norm, and its groups.
  std::string norm = "none";
  std::int64_t groups = 1;
  bool residual = false;
  /// One dropout mask for all time steps (Gal & Ghahramani 2016), the same from chunk to chunk as
  /// long as the forward pass's step stays.
  bool variational = false;
  /// Labels that add to each layer's input, behind its norm and dropout; the unknown one not
  /// counted.
  std::int64_t labels = 0;
};

/// The options of layer `index` of a stack.
RecurrentOptions layer_options(const RecurrentStackOptions& options, std::int64_t index);
/// Number of scalars of a stack's parameters, without building it.
std::int64_t parameter_count(const RecurrentStackOptions& options);

/// Layers one on another. As safe to share as a layer.
class RecurrentStack {
 public:
  /// Layer i's initial numbers come from stream key.stream + i. Throws UsageError as RecurrentLayer
  /// does, and for fewer than one layer.
  RecurrentStack(const RecurrentStackOptions& options, DType dtype, InitKey key);

  /// Tensors of state: those of layer 0, then of layer 1, ..
  std::size_t state_count() const;

  /// y [B, T, H] from x [B, T, C]; `state` as RecurrentLayer::forward, state_count() tensors.
  /// Dropout is of each layer's input but the first's (as torch.nn.LSTM's, between layers), layer
  /// i's drawn from stream i. The probe sees each layer's hidden states, gates and output as layer
  /// "layers.I".
  Variable forward(const Variable& x, std::vector<Tensor>& state,
                   const ForwardOptions& options = {}) const;

  /// For use without training; independent of these layers if options.copy. float32 stacks only.
  FrozenRecurrent freeze(const FreezeOptions& options) const;

  /// RecurrentLayer::constrain() of each layer.
  void constrain() const;

  /// Names are prefix + "0.weight_ih" and, of its norm, "0.norm.weight", of its labels,
  /// "0.condition.weight" and so on.
  void collect(Parameters& parameters, const std::string& prefix) const;
  const RecurrentStackOptions& options() const { return options_; }

 private:
  RecurrentStackOptions options_;
  std::vector<RecurrentLayer> layers_;
  std::vector<Norm> norms_;
  std::vector<Condition> conditions_;
};

}  // namespace sluice
SLUICE_API_END
