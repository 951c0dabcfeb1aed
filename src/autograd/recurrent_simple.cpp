// Elman's network and IndRNN, which have no gates.
#include <algorithm>

#include <fmt/format.h>

#include "recurrent_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/cells.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
namespace {

using recurrent::Call;
using recurrent::RnnSteps;
using recurrent::step_matrix;
using recurrent::StepMatrix;
using recurrent::UnitRnnSteps;

// From dy, the gradients of the pre-activations.
template <class T>
void rnn_backward(const RnnSteps<T>& layer, const StepMatrix& matrix, const Tensor& dz,
                  const Tensor& dy) {
  const Call& call = layer.call;
  const Tensor& h = layer.h;
  const std::int64_t batch = call.batch(), time = call.time(), pitch = dz.dim(1);
  const Tensor dh = Tensor::zeros(Shape{batch, h.dim(1)}, call.dtype);
  for (std::int64_t t = time - 1; t >= 0; --t) {
    T* row = dz.data<T>() + t * batch * pitch;
    const auto pointwise = [&](std::int64_t unit, std::int64_t count) {
      kernels::rnn_backward(
          kernels::RnnGradient<T>{row + unit, dh.data<T>() + unit,
                                  dy.data<T>() + t * call.hidden + unit, layer.state(t + 1, unit),
                                  static_cast<std::size_t>(pitch),
                                  static_cast<std::size_t>(h.dim(1)),
                                  static_cast<std::size_t>(time * call.hidden), layer.relu},
          static_cast<std::size_t>(batch), static_cast<std::size_t>(count));
    };
    if (t + 1 == time) {
      matrix.pointwise_only(batch, pointwise);
    } else {
      matrix.step(
          recurrent::StepRows<T>{dh.data<T>(), h.dim(1), 1, row + batch * pitch, pitch, batch},
          pointwise);
    }
  }
}

// From dy, the gradients of what the activation is applied to.
template <class T>
void unit_rnn_backward(const UnitRnnSteps<T>& layer, const StepMatrix& matrix, const Tensor& dz,
                       const Tensor& dy) {
  const Call& call = layer.call;
  const std::int64_t batch = call.batch(), time = call.time(), pitch = dz.dim(1);
  const Tensor dh = Tensor::zeros(Shape{batch, layer.h.dim(1)}, call.dtype);
  for (std::int64_t t = time - 1; t >= 0; --t) {
    T* const rows = dz.data<T>() + t * batch * pitch;
    const auto pointwise = [&](std::int64_t first, std::int64_t count) {
      const auto n = static_cast<std::size_t>(count);
      for (std::int64_t r = 0; r < batch; ++r) {
        T* const sum = dh.data<T>() + r * dh.dim(1) + first;
        kernels::add_scaled(sum, dy.data<T>() + (r * time + t) * call.hidden + first, T{1}, n);
        kernels::activation_backward(rows + r * pitch + first, sum,
                                     layer.before(t, first) + r * layer.z.dim(1), n, layer.unit.f,
                                     layer.unit.f_parameters);
      }
    };
    if (t + 1 == time) {
      matrix.pointwise_only(batch, pointwise);
    } else {
      matrix.step(
          recurrent::StepRows<T>{dh.data<T>(), dh.dim(1), 1, rows + batch * pitch, pitch, batch},
          pointwise);
    }
  }
}

template <class T>
void differentiate(const RnnSteps<T>& layer, const StepMatrix& matrix, const Tensor& dz,
                   const Tensor& dy) {
  rnn_backward(layer, matrix, dz, dy);
}
template <class T>
void differentiate(const UnitRnnSteps<T>& layer, const StepMatrix& matrix, const Tensor& dz,
                   const Tensor& dy) {
  unit_rnn_backward(layer, matrix, dz, dy);
}

// `layer` is RnnSteps or UnitRnnSteps from the state h.
template <class Steps>
Variable rnn(const Variable& x, const RecurrentWeights& w, const Steps& layer, Tensor& h) {
  const Call& call = layer.call;
  const Tensor xt = recurrent::to_time_major(x.value(), call);
  recurrent::input_product(layer.input_part(), xt, w.weight_ih.value(), call);
  layer.forward(step_matrix(w.weight_hh.value(), true, call),
                recurrent::sum_of_biases(w.bias_ih.value(), w.bias_hh.value()));
  h = recurrent::last_state(layer.h, call);
  const Tensor y =
      recurrent::from_time_major(layer.h, call.batch(), 0, recurrent::output_shape(call), call);
  return record(y, {x, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh},
                [layer, xt, wi = w.weight_ih.value(), wh = w.weight_hh.value(), gx = x.gradient(),
                 gwi = w.weight_ih.gradient(), gwh = w.weight_hh.gradient(),
                 gbi = w.bias_ih.gradient(), gbh = w.bias_hh.gradient()](const Tensor& dy) {
                  const Call& s = layer.call;
                  const Tensor dz(Shape{s.rows(), layer.h.dim(1)}, s.dtype);
                  differentiate(layer, step_matrix(wh, false, s), dz, dy);
                  for (const Gradient& bias : {gbi, gbh}) {
                    if (bias) bias->accumulate(recurrent::bias_gradient(dz, 0, s.hidden, s));
                  }
                  const Tensor dzo = as_operand(dz, s.operand);
                  if (gwh) {
                    gwh->accumulate(recurrent::weight_gradient(
                        dzo, 0, s.hidden, as_operand(layer.h, s.operand), s.hidden, s));
                  }
                  if (gwi)
                    gwi->accumulate(recurrent::weight_gradient(dzo, 0, s.hidden, xt, s.inputs, s));
                  if (gx) gx->accumulate(recurrent::input_gradient(dzo, 0, wi, s));
                });
}

// dy becomes dz; du and dbias may be undefined. h holds states, `first` those before the first
// step.
template <class T>
void indrnn_backward(const Tensor& dy, const Tensor& du, const Tensor& dbias, const Tensor& h,
                     const Tensor& first, const Tensor& u) {
  const ProfileScope profile("recurrent step", 0, 3 * static_cast<double>(h.bytes()));
  const std::int64_t batch = h.dim(0), time = h.dim(1), hidden = h.dim(2);
  parallel_for(hidden, recurrent::kIndRnnStrip, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = 0; b < batch; ++b) {
      const std::int64_t at = b * time * hidden + begin;
      kernels::indrnn_backward(
          kernels::IndRnnGradient<T>{dy.data<T>() + at,
                                     du.defined() ? du.data<T>() + begin : nullptr,
                                     dbias.defined() ? dbias.data<T>() + begin : nullptr,
                                     h.data<T>() + at, first.data<T>() + b * hidden + begin,
                                     u.data<T>() + begin, static_cast<std::size_t>(hidden)},
          static_cast<std::size_t>(time), static_cast<std::size_t>(std::min(hidden, end) - begin));
    }
  });
}

template <class T>
Variable indrnn(const Variable& x, const RecurrentWeights& w, const Call& call, Tensor& h) {
  const Tensor xo = as_operand(x.value(), call.operand).reshape(Shape{call.rows(), call.inputs});
  const Tensor wo = as_operand(w.weight_ih.value(), call.operand);
  const Tensor y(recurrent::output_shape(call), call.dtype);
  gemm(y.data<T>(), call.hidden, matrix(xo), transpose(matrix(wo)));
  const Tensor first =
      h.defined() ? h : Tensor::zeros(Shape{call.batch(), call.hidden}, call.dtype);
  const Tensor u = w.weight_hh.value();
  h = first.clone();
  recurrent::indrnn_steps<T>(y, h, u, w.bias_ih.value(), call.steps);
  return record(y, {x, w.weight_ih, w.weight_hh, w.bias_ih},
                [call, y, first, u, xo, wo, gx = x.gradient(), gwi = w.weight_ih.gradient(),
                 gu = w.weight_hh.gradient(), gb = w.bias_ih.gradient()](const Tensor& dy) {
                  const Call& s = call;
                  const auto zeros = [&](const Gradient& wanted) {
                    return wanted ? Tensor::zeros(Shape{s.hidden}, s.dtype) : Tensor();
                  };
                  const Tensor du = zeros(gu), dbias = zeros(gb);
                  indrnn_backward<T>(dy, du, dbias, y, first, u);
                  if (gu) gu->accumulate(du);
                  if (gb) gb->accumulate(dbias);
                  const Tensor dz = as_operand(dy, s.operand).reshape(Shape{s.rows(), s.hidden});
                  if (gwi) {
                    const Tensor dw(Shape{s.hidden, s.inputs}, s.dtype);
                    gemm(dw.data<T>(), s.inputs, transpose(matrix(dz)), matrix(xo));
                    gwi->accumulate(dw);
                  }
                  if (gx) {
                    const Tensor dx(Shape{s.batch(), s.time(), s.inputs}, s.dtype);
                    gemm(dx.data<T>(), s.inputs, matrix(dz), matrix(wo));
                    gx->accumulate(dx);
                  }
                });
}

}  // namespace

Variable rnn_layer(const Variable& x, const RecurrentWeights& weights, const Unit& f, Tensor& h,
                   Precision precision) {
  if (f.gated) {
    throw UsageError(
        fmt::format("rnn_layer: the nonlinearity must be an activation, got {}", unit_name(f)));
  }
  check_unit(f);
  const Call call = recurrent::check_call("rnn_layer", x, weights, {1, 1, 1}, precision);
  recurrent::check_state("rnn_layer", "h", h, call);
  return dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    return recurrent::has_own_step(f)
               ? rnn(x, weights, RnnSteps<T>(call, f.f == Activation::relu, h), h)
               : rnn(x, weights, UnitRnnSteps<T>(call, f, h), h);
  });
}

Variable indrnn_layer(const Variable& x, const RecurrentWeights& weights, Tensor& h,
                      Precision precision) {
  if (weights.bias_hh.defined()) {
    throw Error(fmt::format("indrnn_layer: there is no bias_hh, got one of {}",
                            weights.bias_hh.shape().str()));
  }
  const Call call = recurrent::check_call("indrnn_layer", x, weights, {1, 0, 1}, precision);
  recurrent::check_state("indrnn_layer", "h", h, call);
  return dispatch_float(call.dtype,
                        [&](auto zero) { return indrnn<decltype(zero)>(x, weights, call, h); });
}

}  // namespace sluice
