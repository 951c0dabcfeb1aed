// The GRU whose reset gate acts after the matrix product. A row of gates is q, r, z, n: the
// products of h₋ (q, r, z) are neighbours, and so are those of x (r, z, n).
#include "recurrent_gru.hpp"

#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/cells.hpp"

namespace sluice {
namespace {

using recurrent::Call;
using recurrent::StepMatrix;

// The blocks of PyTorch's order r, z, n as n, r, z, or back; of [3H] or [3H, columns].
Tensor rotated(const Tensor& x, std::int64_t hidden, bool back) {
  Tensor y(x.shape(), x.dtype());
  const std::int64_t last = 2 * hidden, all = 3 * hidden;
  if (back) {
    y.rows(last, all).copy_from(x.rows(0, hidden));
    y.rows(0, last).copy_from(x.rows(hidden, all));
  } else {
    y.rows(0, hidden).copy_from(x.rows(last, all));
    y.rows(hidden, all).copy_from(x.rows(0, last));
  }
  return y;
}

template <class T>
void add_to(const Tensor& y, const Tensor& x) {
  kernels::add_scaled(y.data<T>(), x.data<T>(), T{1}, static_cast<std::size_t>(x.elements()));
}

// Biases of q, r, z, n, [4H]; undefined when there are none.
template <class T>
Tensor gate_biases(const RecurrentWeights& w, std::int64_t hidden) {
  if (!w.bias_ih.defined() && !w.bias_hh.defined()) return {};
  Tensor bias = Tensor::zeros(Shape{4 * hidden}, dtype_of<T>);
  if (w.bias_hh.defined()) add_to<T>(bias, rotated(w.bias_hh.value(), hidden, false));
  if (w.bias_ih.defined()) add_to<T>(bias.rows(hidden, 4 * hidden), w.bias_ih.value());
  return bias;
}

template <class T>
struct Gru {
  Call call;
  Tensor gates, h;

  T* gate(std::int64_t t, std::int64_t block, std::int64_t unit) const {
    return gates.data<T>() + t * call.batch * gates.dim(1) + block * call.hidden + unit;
  }
  T* state(std::int64_t t, std::int64_t unit) const {
    return h.data<T>() + t * call.batch * h.dim(1) + unit;
  }

  void forward(const StepMatrix& matrix, const Tensor& bias) const {
    const std::int64_t n = call.hidden;
    for (std::int64_t t = 0; t < call.time; ++t) {
      const auto pointwise = [&](std::int64_t unit, std::int64_t count) {
        const auto bias_of = [&](std::int64_t block) {
          return recurrent::bias_at<T>(bias, block * n + unit);
        };
        kernels::gru_forward(
            kernels::GruStep<T>{
                state(t + 1, unit), state(t, unit), gate(t, 1, unit), gate(t, 2, unit),
                gate(t, 3, unit), gate(t, 0, unit), bias_of(1), bias_of(2), bias_of(3), bias_of(0),
                static_cast<std::size_t>(gates.dim(1)), static_cast<std::size_t>(h.dim(1))},
            static_cast<std::size_t>(call.batch), static_cast<std::size_t>(count));
      };
      // q begins with this step's product, r and z hold the input's part.
      matrix.step(gate(t, 0, 0), gates.dim(1), 1, state(t, 0), h.dim(1), pointwise);
    }
  }

  void backward(const StepMatrix& matrix, const Tensor& dy) const {
    const Tensor dh = Tensor::zeros(Shape{call.batch, h.dim(1)}, call.dtype);
    for (std::int64_t t = call.time - 1; t >= 0; --t) {
      const auto pointwise = [&](std::int64_t unit, std::int64_t count) {
        kernels::gru_backward(
            kernels::GruGradient<T>{
                gate(t, 1, unit), gate(t, 2, unit), gate(t, 3, unit), gate(t, 0, unit),
                dh.data<T>() + unit, dy.data<T>() + t * call.hidden + unit, state(t, unit),
                static_cast<std::size_t>(gates.dim(1)), static_cast<std::size_t>(h.dim(1)),
                static_cast<std::size_t>(call.time * call.hidden)},
            static_cast<std::size_t>(call.batch), static_cast<std::size_t>(count));
      };
      if (t + 1 == call.time) {
        matrix.pointwise_only(pointwise);
      } else {
        matrix.step(dh.data<T>(), h.dim(1), 0, gate(t + 1, 0, 0), gates.dim(1), pointwise);
      }
    }
  }
};

template <class T>
Variable gru(const Variable& x, const RecurrentWeights& w, const Call& call, Tensor& h) {
  const std::int64_t n = call.hidden;
  const Tensor xt = recurrent::to_time_major(x.value(), call);
  const Tensor wh = rotated(w.weight_hh.value(), n, false);
  const Tensor gates(Shape{call.rows(), call.pitch(4 * n)}, call.dtype);
  recurrent::input_product(gates, n, xt, w.weight_ih.value(), call);
  const Gru<T> layer{call, gates, recurrent::make_states(h, call)};
  layer.forward(StepMatrix(wh, true, call), gate_biases<T>(w, n));
  h = recurrent::last_state(layer.h, call);
  const Tensor y = recurrent::from_time_major(layer.h, call.batch, 0, n, call);
  return record(
      y, {x, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh},
      [layer, xt, wi = w.weight_ih.value(), whh = w.weight_hh.value(), gx = x.gradient(),
       gwi = w.weight_ih.gradient(), gwh = w.weight_hh.gradient(), gbi = w.bias_ih.gradient(),
       gbh = w.bias_hh.gradient()](const Tensor& dy) {
        const Call& s = layer.call;
        const std::int64_t units = s.hidden;
        layer.backward(StepMatrix(rotated(whh, units, false), false, s), dy);
        if (gbi) gbi->accumulate(recurrent::bias_gradient(layer.gates, units, 3 * units, s));
        if (gbh) {
          gbh->accumulate(
              rotated(recurrent::bias_gradient(layer.gates, 0, 3 * units, s), units, true));
        }
        const Tensor dgates = as_operand(layer.gates, s.operand);
        if (gwh) {
          const Tensor states = as_operand(layer.h, s.operand);
          gwh->accumulate(rotated(
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
  const Call call = recurrent::check_call("gru_layer", x, weights, 3, 3, 3, precision);
  recurrent::check_state("gru_layer", "h", h, call);
  if (reset == GruReset::before) return recurrent::reset_before(x, weights, call, false, h);
  return dispatch_float(call.dtype,
                        [&](auto zero) { return gru<decltype(zero)>(x, weights, call, h); });
}

}  // namespace sluice
