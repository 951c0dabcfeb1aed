#include <algorithm>
#include <utility>

#include "conv_paths.hpp"
#include "drop.hpp"
#include "normalised_weights.hpp"
#include "op_support.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/fast_conv.hpp"
#include "unit_rows.hpp"

namespace sluice {
namespace {

// The last K-1 rows of every stream of the context followed by x.
Tensor trailing_rows(const ConvInput& input, const ConvShape& s) {
  const std::int64_t lead = s.kernel - 1;
  Tensor rows(Shape{s.batch, lead, s.channels}, input.x.dtype());
  dispatch_float(rows.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t b = 0; b < s.batch; ++b) {
      for (std::int64_t j = 0; j < lead; ++j) {
        const std::int64_t t = s.time - lead + j;
        T* const to = rows.data<T>() + (b * lead + j) * s.channels;
        if (t >= 0) {
          std::copy_n(input.x.data<T>() + (b * s.time + t) * s.channels, s.channels, to);
        } else if (input.context.defined()) {
          std::copy_n(input.context.data<T>() + (b * lead + t + lead) * s.channels, s.channels, to);
        } else {
          std::fill_n(to, s.channels, T{0});
        }
      }
    }
  });
  return rows;
}

/// Whether filters stay transformed until the gradient, which otherwise transforms them again: they
/// take over twice the memory of the weights, so only where they do not outweigh by much what the
/// layer keeps of its activations anyway.
bool worth_keeping(const Tensor& filters, const Tensor& x, const Tensor& z) {
  constexpr double most = 1.5;
  return static_cast<double>(filters.bytes()) <= most * static_cast<double>(x.bytes() + z.bytes());
}

}  // namespace

Variable fast_conv_unit(const ConvCall& call, int tile) {
  const ConvShape& s = call.shape;
  const CausalConv& options = call.options;
  const DType dtype = call.x.dtype();
  const std::int64_t n = call.outputs;
  const FastConv conv(s, tile, dtype, call.operand);
  const ConvInput input{dropped(call.x.value(), options.dropout), options.context};
  if (call.next_context != nullptr) *call.next_context = trailing_rows(input, s);

  const Tensor gain = options.gain.value();
  WeightNorms normalised;
  if (gain.defined()) normalised = weight_norms(call.w.value(), gain);
  const Tensor filters = conv.transform(call.w.value(), normalised.scale);

  // z is kept only for the gradient.
  const Shape z_shape{s.batch, s.time, s.outputs};
  const bool kept = Tape::current() != nullptr && !options.recompute;
  const Tensor z = kept ? Tensor(z_shape, dtype) : Tensor();
  const Tensor y(Shape{s.batch, s.time, n}, dtype);
  dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    conv.forward(z, input, filters, [&](const ConvRows& rows) {
      const double bytes = unit_bytes(rows.rows, s.outputs, n, dtype);
      const ProfileScope profile("unit", 0, bytes);
      const std::int64_t out = rows.first * n;
      kernels::unit_forward(
          kernels::UnitForward<T>{
              y.data<T>() + out, static_cast<const T*>(rows.data),
              static_cast<std::size_t>(s.outputs), call.bias.value().data<T>(),
              call.residual.defined() ? call.residual.value().data<T>() + out : nullptr,
              static_cast<T>(options.scale), kernels::traffic_of(bytes)},
          static_cast<std::size_t>(rows.rows), static_cast<std::size_t>(n), options.unit);
    });
  });

  const Tensor held = kept && worth_keeping(filters, call.x.value(), z) ? filters : Tensor();
  return record(
      y, {call.x, call.w, options.gain, call.bias, call.residual},
      [=, norm = normalised.norm, scale = normalised.scale, x = call.x.gradient(),
       w = call.w.gradient(), w_value = call.w.value(), gain_gradient = options.gain.gradient(),
       bias_value = call.bias.value(), bias = call.bias.gradient(),
       residual = call.residual.gradient()](const Tensor& dy) {
        dispatch_float(dtype, [&](auto zero) {
          using T = decltype(zero);
          // The residual's gradient joins the input's where they are one and nothing is dropped.
          const bool joined = residual && residual == x && options.dropout.probability == 0;
          if (residual && !joined) residual->accumulate(scaled(dy, options.scale));
          Tensor again = held;
          if (!held.defined() && (x || !kept)) again = conv.transform(w_value, scale);
          const Tensor projected = kept ? z : Tensor(z_shape, dtype);
          if (!kept) conv.forward(projected, input, again, [](const ConvRows&) {});
          const Tensor partial = Tensor::zeros(Shape{conv.blocks(), s.outputs}, dtype);
          const Tensor dx = x ? Tensor(Shape{s.batch, s.time, s.channels}, dtype) : Tensor();
          const Tensor dw =
              w || gain_gradient ? Tensor(Shape{s.kernel, s.channels, s.outputs}, dtype) : Tensor();
          conv.backward({dx, dw, joined ? dy : Tensor(), options.scale}, input, std::move(again),
                        [&](const ConvRows& rows) {
                          const double bytes = unit_bytes(rows.rows, 2 * s.outputs, n, dtype);
                          const ProfileScope profile("unit", 0, bytes);
                          const std::int64_t at = rows.first;
                          kernels::unit_backward(
                              kernels::UnitBackward<T>{
                                  static_cast<T*>(rows.data), static_cast<std::size_t>(s.outputs),
                                  partial.data<T>() + rows.block * s.outputs, dy.data<T>() + at * n,
                                  projected.data<T>() + at * s.outputs,
                                  static_cast<std::size_t>(s.outputs), bias_value.data<T>(),
                                  static_cast<T>(options.scale), kernels::traffic_of(bytes)},
                              static_cast<std::size_t>(rows.rows), static_cast<std::size_t>(n),
                              options.unit);
                        });
          if (bias) {
            const Tensor dbias = Tensor::zeros(Shape{s.outputs}, dtype);
            kernels::column_sums(dbias.data<T>(), partial.data<T>(),
                                 static_cast<std::size_t>(conv.blocks()),
                                 static_cast<std::size_t>(s.outputs));
            bias->accumulate(dbias);
          }
          if (gain.defined()) {
            if (dw.defined()) weight_norm_gradients(w, gain_gradient, dw, w_value, gain, norm);
          } else if (w) {
            w->accumulate(dw);
          }
          if (x) x->accumulate(dropped(dx, options.dropout));
        });
      });
}

}  // namespace sluice
