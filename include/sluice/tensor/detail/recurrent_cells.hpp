#pragma once
// The forward pass of recurrent layers over all steps (formulas: kernels/cells.hpp), for texts of
// any lengths. What it leaves, activated gates and states, is what gradients are computed from.
//
// Each cell goes through the same three stages: its arrays are made, with the states before the
// first step; the input part of all steps, one matrix product, is put where input_part() says; and
// forward() goes step by step, one product by the recurrent weights (two where r ⊙ h₋ goes through
// a matrix) and one fused pointwise pass each.
//
// float32 and float64; const, and safe to call from any number of threads on arrays of their own.

#include <cstdint>
#include <utility>

#include "sluice/kernels/cells.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/tensor/cell_forms.hpp"
#include "sluice/tensor/detail/recurrent_rows.hpp"
#include "sluice/tensor/detail/step_matrix.hpp"

namespace sluice::recurrent {

/// Where the product of all inputs by weight_ihᵀ goes: from row `row` and column `column` of
/// `rows` on.
struct InputPart {
  Tensor rows;
  std::int64_t row = 0, column = 0;
};

/// a + b, or the one there is; undefined when there is none.
Tensor sum_of_biases(const Tensor& a, const Tensor& b);
/// Elements [at, ..) of a bias; null when there is none or `at` is negative.
template <class T>
const T* bias_at(const Tensor& bias, std::int64_t at) {
  return bias.defined() && at >= 0 ? bias.data<T>() + at : nullptr;
}

/// A pointer into time-major rows.
template <class T>
T* row_at(const Tensor& rows, std::int64_t row, std::int64_t column) {
  return rows.data<T>() + row * rows.dim(1) + column;
}

/// Whether an activation has a step of its own (RnnSteps), which needs nothing but states.
inline bool has_own_step(const Unit& unit) {
  return unit == Unit{.f = Activation::tanh} || unit == Unit{.f = Activation::relu};
}

/// Elman's network with tanh or relu. Inputs go where states will be, which become states one by
/// one.
template <class T>
struct RnnSteps {
  Call call;
  bool relu;
  Tensor h;  // states

  RnnSteps(const Call& of, bool with_relu, const Tensor& first)
      : call(of), relu(with_relu), h(make_states(first, of)) {}
  InputPart input_part() const { return {h, call.batch(), 0}; }
  T* state(std::int64_t t, std::int64_t unit) const {
    return row_at<T>(h, call.steps.state_row(t), unit);
  }
  /// `matrix` is weight_hhᵀ.
  void forward(const StepMatrix& matrix, const Tensor& bias) const;
};

/// Elman's network with any activation, whose derivative may need what it was applied to.
template <class T>
struct UnitRnnSteps {
  Call call;
  Unit unit;
  Tensor z, h;  // z: what the activation is applied to, bias included; h: states

  UnitRnnSteps(const Call& of, const Unit& with, const Tensor& first)
      : call(of),
        unit(with),
        z(Shape{of.rows(), of.pitch(of.hidden)}, of.dtype),
        h(make_states(first, of)) {}
  InputPart input_part() const { return {z, 0, 0}; }
  T* before(std::int64_t t, std::int64_t column) const {
    return row_at<T>(z, call.steps.row(t), column);
  }
  T* state(std::int64_t t, std::int64_t column) const {
    return row_at<T>(h, call.steps.state_row(t), column);
  }
  /// `matrix` is weight_hhᵀ.
  void forward(const StepMatrix& matrix, const Tensor& bias) const;
};

/// First columns of an LSTM's blocks in a row of gates, -1 for removed gates.
struct LstmColumns {
  std::int64_t i = -1, f = -1, g = 0, o = -1, all = 0;

  LstmColumns(LstmGates gates, std::int64_t hidden) {
    const auto next = [&] { return std::exchange(all, all + hidden); };
    if (gates.input) i = next();
    if (gates.forget) f = next();
    g = next();
    if (gates.output) o = next();
  }
};

template <class T>
struct LstmSteps {
  Call call;
  LstmColumns columns;
  Tensor gates, h, c;  // c: states as h

  LstmSteps(const Call& of, LstmGates with, const Tensor& first_h, const Tensor& first_c)
      : call(of),
        columns(with, of.hidden),
        gates(Shape{of.rows(), of.pitch(columns.all)}, of.dtype),
        h(make_states(first_h, of)),
        c(make_states(first_c, of)) {}
  InputPart input_part() const { return {gates, 0, 0}; }
  T* gate(std::int64_t t, std::int64_t column, std::int64_t unit) const {
    return column < 0 ? nullptr : row_at<T>(gates, call.steps.row(t), column + unit);
  }
  T* state(const Tensor& states, std::int64_t t, std::int64_t unit) const {
    return row_at<T>(states, call.steps.state_row(t), unit);
  }
  void forward(const StepMatrix& matrix, const Tensor& bias) const;
};

/// The GRU whose reset gate acts after the matrix product. A row of gates is q, r, z, n: the
/// products of h₋ (q, r, z) are neighbours, and so are those of x (r, z, n).
template <class T>
struct GruSteps {
  Call call;
  Tensor gates, h;

  GruSteps(const Call& of, const Tensor& first)
      : call(of),
        gates(Shape{of.rows(), of.pitch(4 * of.hidden)}, of.dtype),
        h(make_states(first, of)) {}
  InputPart input_part() const { return {gates, 0, call.hidden}; }
  T* gate(std::int64_t t, std::int64_t block, std::int64_t unit) const {
    return row_at<T>(gates, call.steps.row(t), block * call.hidden + unit);
  }
  T* state(std::int64_t t, std::int64_t unit) const {
    return row_at<T>(h, call.steps.state_row(t), unit);
  }
  /// `matrix` is the transpose of gru_rows(weight_hh), `bias` gru_bias().
  void forward(const StepMatrix& matrix, const Tensor& bias) const;
};
/// Blocks of H rows in the order r, z, n as n, r, z (a row's q, r, z), or with `back` from that
/// order: of [3H] or [3H, columns].
Tensor gru_rows(const Tensor& x, std::int64_t hidden, bool back = false);
/// Biases of q, r, z, n, [4H], from those of r, z, n; undefined when there are none.
Tensor gru_bias(const Tensor& bias_ih, const Tensor& bias_hh, std::int64_t hidden);

/// Cells whose candidate sees r ⊙ h₋ through a matrix, two products a step: the GRU of Cho et al.
/// 2014, whose row of gates is r, z, n, and MUT1 with r, z, u, n, u = tanh(x'). The first product,
/// of h₋, goes into r and z of a GRU, into r of MUT1; the second, of p = r ⊙ h₋, into n.
template <class T>
struct ResetSteps {
  Call call;
  bool mut1;
  Tensor gates, h;

  ResetSteps(const Call& of, bool is_mut1, const Tensor& first)
      : call(of),
        mut1(is_mut1),
        gates(Shape{of.rows(), of.pitch((is_mut1 ? 4 : 3) * of.hidden)}, of.dtype),
        h(make_states(first, of)) {}
  InputPart input_part() const { return {gates, 0, 0}; }
  std::int64_t blocks() const { return mut1 ? 4 : 3; }
  /// Whether x itself is MUT1's x'.
  bool takes_inputs() const { return mut1 && call.inputs == call.hidden; }
  /// Blocks of gates that come from x, the candidate's part among them.
  std::int64_t input_blocks() const { return takes_inputs() ? 2 : 3; }
  /// Rows of weight_hh of the first product; those of the second are behind them.
  std::int64_t gate_rows() const { return (mut1 ? 1 : 2) * call.hidden; }

  T* gate(std::int64_t t, std::int64_t block, std::int64_t unit) const {
    return row_at<T>(gates, call.steps.row(t), block * call.hidden + unit);
  }
  T* u(std::int64_t t, std::int64_t unit) const { return mut1 ? gate(t, 2, unit) : nullptr; }
  T* n(std::int64_t t, std::int64_t unit) const { return gate(t, blocks() - 1, unit); }
  T* state(std::int64_t t, std::int64_t unit) const {
    return row_at<T>(h, call.steps.state_row(t), unit);
  }
  std::size_t gate_pitch() const { return static_cast<std::size_t>(gates.dim(1)); }
  std::size_t state_pitch() const { return static_cast<std::size_t>(h.dim(1)); }

  /// x [.., C], packed rows, as the block u, where it takes them.
  void copy_inputs(const Tensor& x) const;
  /// The transposes of the two parts of weight_hh.
  void forward(const StepMatrix& to_gates, const StepMatrix& to_candidate,
               const Tensor& bias) const;
};

/// IndRNN, which has no product between steps, so that texts and units are independent. Rows stay
/// packed: h [.., H] holds the input part on entry, states on return; `state` [texts, H] becomes
/// that after the last step of each text.
template <class T>
void indrnn_steps(const Tensor& h, const Tensor& state, const Tensor& u, const Tensor& bias,
                  const Steps& steps);
/// Units that one thread takes through time together.
inline constexpr std::int64_t kIndRnnStrip = 64;

}  // namespace sluice::recurrent
