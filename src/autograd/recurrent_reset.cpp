// The cells whose candidate sees r ⊙ h₋ through a matrix.
#include "recurrent_gru.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/cells.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

#include <fmt/format.h>

namespace sluice::recurrent {
namespace {

// The pass forward and its gradients.
template <class T>
struct ResetBefore : ResetSteps<T> {
  using Base = ResetSteps<T>;
  using Base::Base, Base::call, Base::mut1, Base::gates, Base::h;
  using Base::gate, Base::u, Base::n, Base::state, Base::blocks, Base::gate_rows;
  using Base::gate_pitch, Base::state_pitch;

  std::size_t rows() const { return static_cast<std::size_t>(call.batch()); }

  // Puts the gradients of the pre-activations in the place of the gates; p of all steps into `p`.
  void backward(const Tensor& weight, const Tensor& p, const Tensor& dy) const {
    const StepMatrix from_gates = step_matrix(weight.rows(0, gate_rows()), false, call);
    const StepMatrix from_candidate =
        step_matrix(weight.rows(gate_rows(), weight.dim(0)), false, call);
    const std::int64_t batch = call.batch(), time = call.time();
    const Tensor dh = Tensor::zeros(Shape{batch, h.dim(1)}, call.dtype);
    const Tensor dp(Shape{batch, h.dim(1)}, call.dtype);
    for (std::int64_t t = time - 1; t >= 0; --t) {
      const auto candidate = [&](std::int64_t unit, std::int64_t count) {
        kernels::candidate_backward(
            kernels::CandidateGradient<T>{
                n(t, unit), gate(t, 1, unit), u(t, unit), dh.data<T>() + unit,
                dy.data<T>() + t * call.hidden + unit, state(t, unit), gate_pitch(), state_pitch(),
                static_cast<std::size_t>(time * call.hidden)},
            rows(), static_cast<std::size_t>(count));
      };
      if (t + 1 == time) {
        from_gates.pointwise_only(batch, candidate);
      } else {
        from_gates.step(recurrent::StepRows<T>{dh.data<T>(), h.dim(1), 0, gate(t + 1, 0, 0),
                                               gates.dim(1), batch},
                        candidate);
      }
      const auto reset = [&](std::int64_t unit, std::int64_t count) {
        kernels::reset_backward(
            kernels::ResetGradient<T>{gate(t, 0, unit), p.data<T>() + t * batch * h.dim(1) + unit,
                                      dh.data<T>() + unit, dp.data<T>() + unit, state(t, unit),
                                      gate_pitch(), state_pitch()},
            rows(), static_cast<std::size_t>(count));
      };
      from_candidate.step(
          recurrent::StepRows<T>{dp.data<T>(), h.dim(1), 1, n(t, 0), gates.dim(1), batch}, reset);
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
    if (this->takes_inputs()) {
      add_in_place(dx, from_time_major(gates, 0, 2 * call.hidden, output_shape(call), call));
    }
    return dx;
  }
};

template <class T>
Variable reset_before_of(const Variable& x, const RecurrentWeights& w, const Call& call, bool mut1,
                         Tensor& h) {
  const Tensor xt = to_time_major(x.value(), call);
  const ResetBefore<T> layer(call, mut1, h);
  input_product(layer.input_part(), xt, w.weight_ih.value(), call);
  if (layer.takes_inputs()) layer.copy_inputs(x.value());
  const Tensor& hh = w.weight_hh.value();
  layer.forward(step_matrix(hh.rows(0, layer.gate_rows()), true, call),
                step_matrix(hh.rows(layer.gate_rows(), hh.dim(0)), true, call),
                sum_of_biases(w.bias_ih.value(), w.bias_hh.value()));
  h = last_state(layer.h, call);
  const Tensor y = from_time_major(layer.h, call.batch(), 0, output_shape(call), call);
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
      recurrent::check_call("mut1_layer", x, weights, {projected ? 3 : 2, 2, 3}, precision);
  recurrent::check_state("mut1_layer", "h", h, call);
  return recurrent::reset_before(x, weights, call, true, h);
}

}  // namespace sluice
