// Elman's network and IndRNN, which have no gates.
#include <algorithm>

#include <fmt/format.h>

#include "recurrent_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/cells.hpp"
#include "sluice/tensor/elementwise.hpp"

namespace sluice {
namespace {

using recurrent::Call;
using recurrent::StepMatrix;

template <class T>
struct Rnn {
  Call call;
  bool relu;
  Tensor h;  // rows of all steps, the first B before the first step

  T* state(std::int64_t t, std::int64_t unit) const {
    return h.data<T>() + t * call.batch * h.dim(1) + unit;
  }

  // h's rows hold the input's part, and become the states one by one.
  void forward(const StepMatrix& matrix, const Tensor& bias) const {
    for (std::int64_t t = 0; t < call.time; ++t) {
      const auto pointwise = [&](std::int64_t unit, std::int64_t count) {
        kernels::rnn_forward(
            kernels::RnnStep<T>{state(t + 1, unit), recurrent::bias_at<T>(bias, unit),
                                static_cast<std::size_t>(h.dim(1)), relu},
            static_cast<std::size_t>(call.batch), static_cast<std::size_t>(count));
      };
      matrix.step(state(t + 1, 0), h.dim(1), 0, state(t, 0), h.dim(1), pointwise);
    }
  }

  void backward(const StepMatrix& matrix, const Tensor& dz, const Tensor& dy) const {
    const Tensor dh = Tensor::zeros(Shape{call.batch, h.dim(1)}, call.dtype);
    const std::int64_t pitch = dz.dim(1);
    for (std::int64_t t = call.time - 1; t >= 0; --t) {
      T* row = dz.data<T>() + t * call.batch * pitch;
      const auto pointwise = [&](std::int64_t unit, std::int64_t count) {
        kernels::rnn_backward(
            kernels::RnnGradient<T>{row + unit, dh.data<T>() + unit,
                                    dy.data<T>() + t * call.hidden + unit, state(t + 1, unit),
                                    static_cast<std::size_t>(pitch),
                                    static_cast<std::size_t>(h.dim(1)),
                                    static_cast<std::size_t>(call.time * call.hidden), relu},
            static_cast<std::size_t>(call.batch), static_cast<std::size_t>(count));
      };
      if (t + 1 == call.time) {
        matrix.pointwise_only(pointwise);
      } else {
        matrix.step(dh.data<T>(), h.dim(1), 1, row + call.batch * pitch, pitch, pointwise);
      }
    }
  }
};

template <class T>
Variable rnn(const Variable& x, const RecurrentWeights& w, const Call& call, bool relu, Tensor& h) {
  const Tensor xt = recurrent::to_time_major(x.value(), call);
  const Rnn<T> layer{call, relu, recurrent::make_states(h, call)};
  recurrent::input_product(layer.h.rows(call.batch, layer.h.dim(0)), 0, xt, w.weight_ih.value(),
                           call);
  layer.forward(StepMatrix(w.weight_hh.value(), true, call), recurrent::sum_of_biases(w));
  h = recurrent::last_state(layer.h, call);
  const Tensor y = recurrent::from_time_major(layer.h, call.batch, 0, call.hidden, call);
  return record(y, {x, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh},
                [layer, xt, wi = w.weight_ih.value(), wh = w.weight_hh.value(), gx = x.gradient(),
                 gwi = w.weight_ih.gradient(), gwh = w.weight_hh.gradient(),
                 gbi = w.bias_ih.gradient(), gbh = w.bias_hh.gradient()](const Tensor& dy) {
                  const Call& s = layer.call;
                  const Tensor dz(Shape{s.rows(), layer.h.dim(1)}, s.dtype);
                  layer.backward(StepMatrix(wh, false, s), dz, dy);
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

// Columns that one thread takes through time together.
constexpr std::int64_t kStrip = 64;

// IndRNN: no product between steps, so streams and strips of units are independent, and rows keep
// the order of x.
template <class T>
struct IndRnn {
  Call call;
  Tensor h, first, u;  // [B, T, H], [B, H], [H]

  std::size_t width(std::int64_t begin, std::int64_t end) const {
    return static_cast<std::size_t>(std::min(call.hidden, end) - begin);
  }

  // h holds the input's part on entry.
  void forward(const Tensor& last, const Tensor& bias) const {
    const ProfileScope profile("recurrent step", 0, 2 * static_cast<double>(h.bytes()));
    parallel_for(call.hidden, kStrip, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = 0; b < call.batch; ++b) {
        kernels::indrnn_forward(
            kernels::IndRnnSequence<T>{h.data<T>() + b * call.time * call.hidden + begin,
                                       last.data<T>() + b * call.hidden + begin,
                                       u.data<T>() + begin, recurrent::bias_at<T>(bias, begin),
                                       static_cast<std::size_t>(call.hidden)},
            static_cast<std::size_t>(call.time), width(begin, end));
      }
    });
  }

  // dy becomes dz; du and dbias may be undefined.
  void backward(const Tensor& dy, const Tensor& du, const Tensor& dbias) const {
    const ProfileScope profile("recurrent step", 0, 3 * static_cast<double>(h.bytes()));
    parallel_for(call.hidden, kStrip, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = 0; b < call.batch; ++b) {
        const std::int64_t at = b * call.time * call.hidden + begin;
        kernels::indrnn_backward(
            kernels::IndRnnGradient<T>{dy.data<T>() + at,
                                       du.defined() ? du.data<T>() + begin : nullptr,
                                       dbias.defined() ? dbias.data<T>() + begin : nullptr,
                                       h.data<T>() + at, first.data<T>() + b * call.hidden + begin,
                                       u.data<T>() + begin, static_cast<std::size_t>(call.hidden)},
            static_cast<std::size_t>(call.time), width(begin, end));
      }
    });
  }
};

template <class T>
Variable indrnn(const Variable& x, const RecurrentWeights& w, const Call& call, Tensor& h) {
  const Tensor xo = as_operand(x.value(), call.operand).reshape(Shape{call.rows(), call.inputs});
  const Tensor wo = as_operand(w.weight_ih.value(), call.operand);
  const Tensor y(Shape{call.batch, call.time, call.hidden}, call.dtype);
  gemm(y.data<T>(), call.hidden, matrix(xo), transpose(matrix(wo)));
  const Shape states{call.batch, call.hidden};
  const IndRnn<T> layer{call, y, h.defined() ? h : Tensor::zeros(states, call.dtype),
                        w.weight_hh.value()};
  h = layer.first.clone();
  layer.forward(h, w.bias_ih.value());
  return record(y, {x, w.weight_ih, w.weight_hh, w.bias_ih},
                [layer, xo, wo, gx = x.gradient(), gwi = w.weight_ih.gradient(),
                 gu = w.weight_hh.gradient(), gb = w.bias_ih.gradient()](const Tensor& dy) {
                  const Call& s = layer.call;
                  const auto zeros = [&](const Gradient& wanted) {
                    return wanted ? Tensor::zeros(Shape{s.hidden}, s.dtype) : Tensor();
                  };
                  const Tensor du = zeros(gu), dbias = zeros(gb);
                  layer.backward(dy, du, dbias);
                  if (gu) gu->accumulate(du);
                  if (gb) gb->accumulate(dbias);
                  const Tensor dz = as_operand(dy, s.operand).reshape(Shape{s.rows(), s.hidden});
                  if (gwi) {
                    const Tensor dw(Shape{s.hidden, s.inputs}, s.dtype);
                    gemm(dw.data<T>(), s.inputs, transpose(matrix(dz)), matrix(xo));
                    gwi->accumulate(dw);
                  }
                  if (gx) {
                    const Tensor dx(Shape{s.batch, s.time, s.inputs}, s.dtype);
                    gemm(dx.data<T>(), s.inputs, matrix(dz), matrix(wo));
                    gx->accumulate(dx);
                  }
                });
}

}  // namespace

Variable rnn_layer(const Variable& x, const RecurrentWeights& weights, Activation f, Tensor& h,
                   Precision precision) {
  if (f != Activation::relu && f != Activation::tanh) {
    throw UsageError("rnn_layer: the nonlinearity must be relu or tanh");
  }
  const Call call = recurrent::check_call("rnn_layer", x, weights, 1, 1, 1, precision);
  recurrent::check_state("rnn_layer", "h", h, call);
  return dispatch_float(call.dtype, [&](auto zero) {
    return rnn<decltype(zero)>(x, weights, call, f == Activation::relu, h);
  });
}

Variable indrnn_layer(const Variable& x, const RecurrentWeights& weights, Tensor& h,
                      Precision precision) {
  if (weights.bias_hh.defined()) {
    throw Error(fmt::format("indrnn_layer: there is no bias_hh, got one of {}",
                            weights.bias_hh.shape().str()));
  }
  const Call call = recurrent::check_call("indrnn_layer", x, weights, 1, 0, 1, precision);
  recurrent::check_state("indrnn_layer", "h", h, call);
  return dispatch_float(call.dtype,
                        [&](auto zero) { return indrnn<decltype(zero)>(x, weights, call, h); });
}

}  // namespace sluice
