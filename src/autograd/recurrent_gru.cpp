// The GRU whose reset gate acts after the matrix product.
#include "recurrent_gru.hpp"

#include "sluice/kernels/cells.hpp"

namespace sluice {
namespace {

using recurrent::Call;
using recurrent::gru_rows;
using recurrent::GruSteps;
using recurrent::step_matrix;
using recurrent::StepMatrix;

// Puts the gradients of the pre-activations in the place of the gates.
template <class T>
void gru_backward(const GruSteps<T>& layer, const StepMatrix& matrix, const Tensor& dy) {
  const Call& call = layer.call;
  const std::int64_t batch = call.batch(), time = call.time();
  const std::int64_t pitch = layer.gates.dim(1), state_pitch = layer.h.dim(1);
  const Tensor dh = Tensor::zeros(Shape{batch, state_pitch}, call.dtype);
  for (std::int64_t t = time - 1; t >= 0; --t) {
    const auto pointwise = [&](std::int64_t unit, std::int64_t count) {
      kernels::gru_backward(
          kernels::GruGradient<T>{
              layer.gate(t, 1, unit), layer.gate(t, 2, unit), layer.gate(t, 3, unit),
              layer.gate(t, 0, unit), dh.data<T>() + unit, dy.data<T>() + t * call.hidden + unit,
              layer.state(t, unit), static_cast<std::size_t>(pitch),
              static_cast<std::size_t>(state_pitch), static_cast<std::size_t>(time * call.hidden)},
          static_cast<std::size_t>(batch), static_cast<std::size_t>(count));
    };
    if (t + 1 == time) {
      matrix.pointwise_only(batch, pointwise);
    } else {
      matrix.step(recurrent::StepRows<T>{dh.data<T>(), state_pitch, 0, layer.gate(t + 1, 0, 0),
                                         pitch, batch},
                  pointwise);
    }
  }
}

template <class T>
Variable gru(const Variable& x, const RecurrentWeights& w, const Call& call, Tensor& h) {
  const std::int64_t n = call.hidden;
  const Tensor xt = recurrent::to_time_major(x.value(), call);
  const GruSteps<T> layer(call, h);
  recurrent::input_product(layer.input_part(), xt, w.weight_ih.value(), call);
  layer.forward(step_matrix(gru_rows(w.weight_hh.value(), n), true, call),
                recurrent::gru_bias(w.bias_ih.value(), w.bias_hh.value(), n));
  h = recurrent::last_state(layer.h, call);
  const Tensor y =
      recurrent::from_time_major(layer.h, call.batch(), 0, recurrent::output_shape(call), call);
  return record(
      y, {x, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh},
      [layer, xt, wi = w.weight_ih.value(), whh = w.weight_hh.value(), gx = x.gradient(),
       gwi = w.weight_ih.gradient(), gwh = w.weight_hh.gradient(), gbi = w.bias_ih.gradient(),
       gbh = w.bias_hh.gradient()](const Tensor& dy) {
        const Call& s = layer.call;
        const std::int64_t units = s.hidden;
        gru_backward(layer, step_matrix(gru_rows(whh, units), false, s), dy);
        if (gbi) gbi->accumulate(recurrent::bias_gradient(layer.gates, units, 3 * units, s));
        if (gbh) {
          gbh->accumulate(
              gru_rows(recurrent::bias_gradient(layer.gates, 0, 3 * units, s), units, true));
        }
        const Tensor dgates = as_operand(layer.gates, s.operand);
        if (gwh) {
          const Tensor states = as_operand(layer.h, s.operand);
          gwh->accumulate(gru_rows(
              recurrent::weight_gradient(dgates, 0, 3 * units, states, units, s), units, true));
        }
        if (gwi) {
          gwi->accumulate(recurrent::weight_gradient(dgates, units, 3 * units, xt, s.inputs, s));
        }
        if (gx) gx->accumulate(recurrent::input_gradient(dgates, units, wi, s));
      });
}

}  // namespace

Variable gru_layer(const Variable& x, const RecurrentWeights& weights, GruReset reset, Tensor& h,
                   Precision precision) {
  const Call call = recurrent::check_call("gru_layer", x, weights, {3, 3, 3}, precision);
  recurrent::check_state("gru_layer", "h", h, call);
  if (reset == GruReset::before) return recurrent::reset_before(x, weights, call, false, h);
  return dispatch_float(call.dtype,
                        [&](auto zero) { return gru<decltype(zero)>(x, weights, call, h); });
}

}  // namespace sluice
