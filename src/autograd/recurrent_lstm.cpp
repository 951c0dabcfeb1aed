#include "recurrent_support.hpp"
#include "sluice/kernels/cells.hpp"

namespace sluice {
namespace {

using recurrent::Call;
using recurrent::LstmSteps;
using recurrent::step_matrix;
using recurrent::StepMatrix;

// Puts the gradients of the pre-activations in the place of the gates.
template <class T>
void lstm_backward(const LstmSteps<T>& layer, const StepMatrix& matrix, const Tensor& dy) {
  const Call& call = layer.call;
  const recurrent::LstmColumns& columns = layer.columns;
  const Tensor& c = layer.c;
  const std::int64_t batch = call.batch(), time = call.time();
  const std::int64_t pitch = layer.gates.dim(1), state_pitch = c.dim(1);
  const Tensor dh = Tensor::zeros(Shape{batch, state_pitch}, call.dtype);
  const Tensor dc = Tensor::zeros(Shape{batch, state_pitch}, call.dtype);
  for (std::int64_t t = time - 1; t >= 0; --t) {
    const auto pointwise = [&](std::int64_t unit, std::int64_t count) {
      kernels::lstm_backward(
          kernels::LstmGradient<T>{
              layer.gate(t, columns.i, unit), layer.gate(t, columns.f, unit),
              layer.gate(t, columns.g, unit), layer.gate(t, columns.o, unit), dc.data<T>() + unit,
              dh.data<T>() + unit, dy.data<T>() + t * call.hidden + unit,
              layer.state(c, t + 1, unit), layer.state(c, t, unit), static_cast<std::size_t>(pitch),
              static_cast<std::size_t>(state_pitch), static_cast<std::size_t>(time * call.hidden)},
          static_cast<std::size_t>(batch), static_cast<std::size_t>(count));
    };
    if (t + 1 == time) {
      matrix.pointwise_only(batch, pointwise);
    } else {
      matrix.step(recurrent::StepRows<T>{dh.data<T>(), state_pitch, 1, layer.gate(t + 1, 0, 0),
                                         pitch, batch},
                  pointwise);
    }
  }
}

template <class T>
Variable lstm(const Variable& x, const RecurrentWeights& w, const Call& call, LstmGates gates,
              Tensor& h, Tensor& c) {
  const Tensor xt = recurrent::to_time_major(x.value(), call);
  LstmSteps<T> layer(call, gates, h, c);
  recurrent::input_product(layer.input_part(), xt, w.weight_ih.value(), call);
  layer.forward(step_matrix(w.weight_hh.value(), true, call),
                recurrent::sum_of_biases(w.bias_ih.value(), w.bias_hh.value()));
  h = recurrent::last_state(layer.h, call);
  c = recurrent::last_state(layer.c, call);
  const Tensor y =
      recurrent::from_time_major(layer.h, call.batch(), 0, recurrent::output_shape(call), call);
  // Only products need h again.
  layer.h = as_operand(layer.h, call.operand);
  return record(y, {x, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh},
                [layer, xt, wi = w.weight_ih.value(), wh = w.weight_hh.value(), gx = x.gradient(),
                 gwi = w.weight_ih.gradient(), gwh = w.weight_hh.gradient(),
                 gbi = w.bias_ih.gradient(), gbh = w.bias_hh.gradient()](const Tensor& dy) {
                  const Call& s = layer.call;
                  const std::int64_t n = layer.columns.all;
                  lstm_backward(layer, step_matrix(wh, false, s), dy);
                  for (const Gradient& bias : {gbi, gbh}) {
                    if (bias) bias->accumulate(recurrent::bias_gradient(layer.gates, 0, n, s));
                  }
                  const Tensor dgates = as_operand(layer.gates, s.operand);
                  if (gwh) {
                    gwh->accumulate(recurrent::weight_gradient(dgates, 0, n, layer.h, s.hidden, s));
                  }
                  if (gwi)
                    gwi->accumulate(recurrent::weight_gradient(dgates, 0, n, xt, s.inputs, s));
                  if (gx) gx->accumulate(recurrent::input_gradient(dgates, 0, wi, s));
                });
}

}  // namespace

Variable lstm_layer(const Variable& x, const RecurrentWeights& weights, LstmGates gates, Tensor& h,
                    Tensor& c, Precision precision) {
  const std::int64_t blocks = gates.blocks();
  const Call call =
      recurrent::check_call("lstm_layer", x, weights, {blocks, blocks, blocks}, precision);
  recurrent::check_state("lstm_layer", "h", h, call);
  recurrent::check_state("lstm_layer", "c", c, call);
  return dispatch_float(
      call.dtype, [&](auto zero) { return lstm<decltype(zero)>(x, weights, call, gates, h, c); });
}

}  // namespace sluice
