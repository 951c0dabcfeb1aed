#include <utility>

#include "recurrent_support.hpp"
#include "sluice/kernels/cells.hpp"

namespace sluice {
namespace {

using recurrent::Call;
using recurrent::StepMatrix;

// First columns of the blocks in a row of gates, -1 for removed gates.
struct Columns {
  std::int64_t i = -1, f = -1, g = 0, o = -1, all = 0;

  Columns(LstmGates gates, std::int64_t hidden) {
    const auto next = [&] { return std::exchange(all, all + hidden); };
    if (gates.input) i = next();
    if (gates.forget) f = next();
    g = next();
    if (gates.output) o = next();
  }
};

template <class T>
struct Lstm {
  Call call;
  Columns columns;
  Tensor gates, h, c;  // rows of all steps; h and c begin with the state before the first

  T* gate(std::int64_t t, std::int64_t column, std::int64_t unit) const {
    if (column < 0) return nullptr;
    return gates.data<T>() + t * call.batch * gates.dim(1) + column + unit;
  }
  T* state(const Tensor& states, std::int64_t t, std::int64_t unit) const {
    return states.data<T>() + t * call.batch * states.dim(1) + unit;
  }

  void forward(const StepMatrix& matrix, const Tensor& bias) const {
    const std::int64_t pitch = gates.dim(1), state_pitch = h.dim(1);
    for (std::int64_t t = 0; t < call.time; ++t) {
      const auto pointwise = [&](std::int64_t unit, std::int64_t count) {
        const auto bias_of = [&](std::int64_t column) {
          return recurrent::bias_at<T>(bias, column < 0 ? column : column + unit);
        };
        kernels::lstm_forward(
            kernels::LstmStep<T>{state(h, t + 1, unit), state(c, t + 1, unit), state(c, t, unit),
                                 gate(t, columns.i, unit), gate(t, columns.f, unit),
                                 gate(t, columns.g, unit), gate(t, columns.o, unit),
                                 bias_of(columns.i), bias_of(columns.f), bias_of(columns.g),
                                 bias_of(columns.o), static_cast<std::size_t>(pitch),
                                 static_cast<std::size_t>(state_pitch)},
            static_cast<std::size_t>(call.batch), static_cast<std::size_t>(count));
      };
      matrix.step(gate(t, 0, 0), pitch, 0, state(h, t, 0), state_pitch, pointwise);
    }
  }

  // Puts the gradients of the pre-activations in the place of the gates.
  void backward(const StepMatrix& matrix, const Tensor& dy) const {
    const std::int64_t pitch = gates.dim(1), state_pitch = c.dim(1);
    const Tensor dh = Tensor::zeros(Shape{call.batch, state_pitch}, call.dtype);
    const Tensor dc = Tensor::zeros(Shape{call.batch, state_pitch}, call.dtype);
    for (std::int64_t t = call.time - 1; t >= 0; --t) {
      const auto pointwise = [&](std::int64_t unit, std::int64_t count) {
        kernels::lstm_backward(
            kernels::LstmGradient<T>{
                gate(t, columns.i, unit), gate(t, columns.f, unit), gate(t, columns.g, unit),
                gate(t, columns.o, unit), dc.data<T>() + unit, dh.data<T>() + unit,
                dy.data<T>() + t * call.hidden + unit, state(c, t + 1, unit), state(c, t, unit),
                static_cast<std::size_t>(pitch), static_cast<std::size_t>(state_pitch),
                static_cast<std::size_t>(call.time * call.hidden)},
            static_cast<std::size_t>(call.batch), static_cast<std::size_t>(count));
      };
      if (t + 1 == call.time) {
        matrix.pointwise_only(pointwise);
      } else {
        matrix.step(dh.data<T>(), state_pitch, 1, gate(t + 1, 0, 0), pitch, pointwise);
      }
    }
  }
};

template <class T>
Variable lstm(const Variable& x, const RecurrentWeights& w, const Call& call,
              const Columns& columns, Tensor& h, Tensor& c) {
  const Tensor xt = recurrent::to_time_major(x.value(), call);
  const Tensor gates(Shape{call.rows(), call.pitch(columns.all)}, call.dtype);
  recurrent::input_product(gates, 0, xt, w.weight_ih.value(), call);
  Lstm<T> layer{call, columns, gates, recurrent::make_states(h, call),
                recurrent::make_states(c, call)};
  layer.forward(StepMatrix(w.weight_hh.value(), true, call), recurrent::sum_of_biases(w));
  h = recurrent::last_state(layer.h, call);
  c = recurrent::last_state(layer.c, call);
  const Tensor y = recurrent::from_time_major(layer.h, call.batch, 0, call.hidden, call);
  // Only products need h again.
  layer.h = as_operand(layer.h, call.operand);
  return record(y, {x, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh},
                [layer, xt, wi = w.weight_ih.value(), wh = w.weight_hh.value(), gx = x.gradient(),
                 gwi = w.weight_ih.gradient(), gwh = w.weight_hh.gradient(),
                 gbi = w.bias_ih.gradient(), gbh = w.bias_hh.gradient()](const Tensor& dy) {
                  const Call& s = layer.call;
                  const std::int64_t n = layer.columns.all;
                  layer.backward(StepMatrix(wh, false, s), dy);
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
      recurrent::check_call("lstm_layer", x, weights, blocks, blocks, blocks, precision);
  recurrent::check_state("lstm_layer", "h", h, call);
  recurrent::check_state("lstm_layer", "c", c, call);
  return dispatch_float(call.dtype, [&](auto zero) {
    return lstm<decltype(zero)>(x, weights, call, Columns(gates, call.hidden), h, c);
  });
}

}  // namespace sluice
