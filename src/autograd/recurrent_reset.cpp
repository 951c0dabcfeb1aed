// The cells whose candidate sees r ⊙ h₋ through a matrix: two products a step. A row of gates is r,
// z, n (GRU) or r, z, u, n (MUT1, u = tanh(x')). The first product, of h₋, goes into r and z of a
// GRU, into r of MUT1; the second, of p = r ⊙ h₋, into n.
#include <algorithm>

#include "recurrent_gru.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/cells.hpp"
#include "sluice/tensor/elementwise.hpp"

#include <fmt/format.h>

namespace sluice::recurrent {
namespace {

template <class T>
struct ResetBefore {
  Call call;
  bool mut1;
  Tensor gates, h;

  std::int64_t blocks() const { return mut1 ? 4 : 3; }
  // Blocks of gates that come from x, the candidate's part among them.
  std::int64_t input_blocks() const { return mut1 && call.inputs == call.hidden ? 2 : 3; }
  // Rows of weight_hh of the first product.
  std::int64_t gate_rows() const { return (mut1 ? 1 : 2) * call.hidden; }

  T* gate(std::int64_t t, std::int64_t block, std::int64_t unit) const {
    return gates.data<T>() + t * call.batch * gates.dim(1) + block * call.hidden + unit;
  }
  T* u(std::int64_t t, std::int64_t unit) const { return mut1 ? gate(t, 2, unit) : nullptr; }
  T* n(std::int64_t t, std::int64_t unit) const { return gate(t, blocks() - 1, unit); }
  T* state(std::int64_t t, std::int64_t unit) const {
    return h.data<T>() + t * call.batch * h.dim(1) + unit;
  }
  std::size_t gate_pitch() const { return static_cast<std::size_t>(gates.dim(1)); }
  std::size_t state_pitch() const { return static_cast<std::size_t>(h.dim(1)); }
  std::size_t rows() const { return static_cast<std::size_t>(call.batch); }

  // x itself as x': the block u is x.
  void copy_inputs(const Tensor& x) const {
    parallel_for(call.rows(), row_grain(call.hidden), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        const std::int64_t from = r % call.batch * call.time + r / call.batch;
        std::copy_n(x.data<T>() + from * call.hidden, call.hidden,
                    gates.data<T>() + r * gates.dim(1) + 2 * call.hidden);
      }
    });
  }

  void forward(const Tensor& weight, const Tensor& bias) const {
    const StepMatrix to_gates(weight.rows(0, gate_rows()), true, call);
    const StepMatrix to_candidate(weight.rows(gate_rows(), weight.dim(0)), true, call);
    const Tensor p(Shape{call.batch, h.dim(1)}, call.dtype);
    for (std::int64_t t = 0; t < call.time; ++t) {
      const auto bias_of = [&](std::int64_t block, std::int64_t unit) {
        return bias_at<T>(bias, block * call.hidden + unit);
      };
      const auto reset = [&](std::int64_t unit, std::int64_t count) {
        kernels::reset_forward(
            kernels::ResetStep<T>{p.data<T>() + unit, state(t, unit), gate(t, 0, unit),
                                  gate(t, 1, unit), u(t, unit), bias_of(0, unit), bias_of(1, unit),
                                  gate_pitch(), state_pitch()},
            rows(), static_cast<std::size_t>(count));
      };
      to_gates.step(gate(t, 0, 0), gates.dim(1), 0, state(t, 0), h.dim(1), reset);
      const auto candidate = [&](std::int64_t unit, std::int64_t count) {
        kernels::candidate_forward(
            kernels::CandidateStep<T>{state(t + 1, unit), n(t, unit), state(t, unit),
                                      gate(t, 1, unit), u(t, unit), bias_of(2, unit), gate_pitch(),
                                      state_pitch()},
            rows(), static_cast<std::size_t>(count));
      };
      to_candidate.step(n(t, 0), gates.dim(1), mut1 ? 1 : 0, p.data<T>(), h.dim(1), candidate);
    }
  }

  // Puts the gradients of the pre-activations in the place of the gates; p of all steps into `p`.
  void backward(const Tensor& weight, const Tensor& p, const Tensor& dy) const {
    const StepMatrix from_gates(weight.rows(0, gate_rows()), false, call);
    const StepMatrix from_candidate(weight.rows(gate_rows(), weight.dim(0)), false, call);
    const Tensor dh = Tensor::zeros(Shape{call.batch, h.dim(1)}, call.dtype);
    const Tensor dp(Shape{call.batch, h.dim(1)}, call.dtype);
    for (std::int64_t t = call.time - 1; t >= 0; --t) {
      const auto candidate = [&](std::int64_t unit, std::int64_t count) {
        kernels::candidate_backward(
            kernels::CandidateGradient<T>{
                n(t, unit), gate(t, 1, unit), u(t, unit), dh.data<T>() + unit,
                dy.data<T>() + t * call.hidden + unit, state(t, unit), gate_pitch(), state_pitch(),
                static_cast<std::size_t>(call.time * call.hidden)},
            rows(), static_cast<std::size_t>(count));
      };
      if (t + 1 == call.time) {
        from_gates.pointwise_only(candidate);
      } else {
        from_gates.step(dh.data<T>(), h.dim(1), 0, gate(t + 1, 0, 0), gates.dim(1), candidate);
      }
      const auto reset = [&](std::int64_t unit, std::int64_t count) {
        kernels::reset_backward(
            kernels::ResetGradient<T>{gate(t, 0, unit),
                                      p.data<T>() + t * call.batch * h.dim(1) + unit,
                                      dh.data<T>() + unit, dp.data<T>() + unit, state(t, unit),
                                      gate_pitch(), state_pitch()},
            rows(), static_cast<std::size_t>(count));
      };
      from_candidate.step(dp.data<T>(), h.dim(1), 1, n(t, 0), gates.dim(1), reset);
    }
  }

  Tensor bias_gradients() const {
    const std::int64_t units = call.hidden;
    Tensor bias(Shape{3 * units}, call.dtype);
    bias.rows(0, 2 * units).copy_from(bias_gradient(gates, 0, 2 * units, call));
    bias.rows(2 * units, 3 * units)
        .copy_from(bias_gradient(gates, (blocks() - 1) * units, units, call));
    return bias;
  }

  // From dgates and the states as operands.
  Tensor recurrent_gradient(const Tensor& dgates, const Tensor& p) const {
    const std::int64_t units = call.hidden;
    Tensor dw(Shape{gate_rows() + units, units}, call.dtype);
    const Tensor states = as_operand(h, call.operand);
    dw.rows(0, gate_rows()).copy_from(weight_gradient(dgates, 0, gate_rows(), states, units, call));
    dw.rows(gate_rows(), dw.dim(0))
        .copy_from(weight_gradient(dgates, (blocks() - 1) * units, units,
                                   as_operand(p, call.operand), units, call));
    return dw;
  }

  Tensor inputs_gradient(const Tensor& dgates, const Tensor& weight) const {
    Tensor dx = input_gradient(dgates, 0, weight, call);
    if (input_blocks() == 2) {
      add_in_place(dx, from_time_major(gates, 0, 2 * call.hidden, call.hidden, call));
    }
    return dx;
  }
};

template <class T>
Variable reset_before_of(const Variable& x, const RecurrentWeights& w, const Call& call, bool mut1,
                         Tensor& h) {
  const Tensor xt = to_time_major(x.value(), call);
  const Tensor gates(Shape{call.rows(), call.pitch((mut1 ? 4 : 3) * call.hidden)}, call.dtype);
  const ResetBefore<T> layer{call, mut1, gates, make_states(h, call)};
  input_product(gates, 0, xt, w.weight_ih.value(), call);
  if (layer.input_blocks() == 2) layer.copy_inputs(x.value());
  layer.forward(w.weight_hh.value(), sum_of_biases(w));
  h = last_state(layer.h, call);
  const Tensor y = from_time_major(layer.h, call.batch, 0, call.hidden, call);
  return record(y, {x, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh},
                [layer, xt, wi = w.weight_ih.value(), wh = w.weight_hh.value(), gx = x.gradient(),
                 gwi = w.weight_ih.gradient(), gwh = w.weight_hh.gradient(),
                 gbi = w.bias_ih.gradient(), gbh = w.bias_hh.gradient()](const Tensor& dy) {
                  const Call& s = layer.call;
                  const Tensor p(Shape{s.rows(), layer.h.dim(1)}, s.dtype);
                  layer.backward(wh, p, dy);
                  for (const Gradient& bias : {gbi, gbh}) {
                    if (bias) bias->accumulate(layer.bias_gradients());
                  }
                  const Tensor dgates = as_operand(layer.gates, s.operand);
                  if (gwh) gwh->accumulate(layer.recurrent_gradient(dgates, p));
                  if (gwi) {
                    gwi->accumulate(weight_gradient(dgates, 0, layer.input_blocks() * s.hidden, xt,
                                                    s.inputs, s));
                  }
                  if (gx) gx->accumulate(layer.inputs_gradient(dgates, wi));
                });
}

}  // namespace

Variable reset_before(const Variable& x, const RecurrentWeights& weights, const Call& call,
                      bool mut1, Tensor& h) {
  return dispatch_float(call.dtype, [&](auto zero) {
    return reset_before_of<decltype(zero)>(x, weights, call, mut1, h);
  });
}

}  // namespace sluice::recurrent

namespace sluice {

Variable mut1_layer(const Variable& x, const RecurrentWeights& weights, Tensor& h,
                    Precision precision) {
  const Shape in = x.shape(), hh = weights.weight_hh.shape();
  const bool projected = in.rank() != 3 || hh.rank() != 2 || in[2] != hh[1];
  if (weights.bias_hh.defined()) {
    throw Error(fmt::format("mut1_layer: there is no bias_hh, got one of {}",
                            weights.bias_hh.shape().str()));
  }
  const recurrent::Call call =
      recurrent::check_call("mut1_layer", x, weights, projected ? 3 : 2, 2, 3, precision);
  recurrent::check_state("mut1_layer", "h", h, call);
  return recurrent::reset_before(x, weights, call, true, h);
}

}  // namespace sluice
