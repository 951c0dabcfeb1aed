#include <algorithm>
#include <cstring>

#include "conv_paths.hpp"
#include "drop.hpp"
#include "op_support.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/operand.hpp"
#include "unit_rows.hpp"

namespace sluice {
namespace {

std::int64_t row_blocks(std::int64_t batch, std::int64_t time) {
  return batch * ((time + kRowBlock - 1) / kRowBlock);
}

// xp = [context, dropout(x)] per stream, in `dtype`.
Tensor padded_input(const Tensor& x, const CausalConv& options, const ConvShape& s, DType dtype) {
  if (s.kernel == 1 && options.dropout.probability == 0 && dtype == x.dtype()) return x;
  const ProfileScope profile(
      "pad and dropout", 0,
      static_cast<double>(x.bytes()) +
          static_cast<double>(x.elements()) * static_cast<double>(dtype_size(dtype)));
  Tensor xp(Shape{s.batch, s.pitch(), s.channels}, dtype);
  const std::int64_t lead = (s.kernel - 1) * s.channels;
  const std::size_t lead_bytes = static_cast<std::size_t>(lead) * dtype_size(dtype);
  auto* base = static_cast<std::byte*>(xp.raw());
  for (std::int64_t b = 0; b < s.batch && lead > 0; ++b) {
    std::byte* row =
        base + static_cast<std::size_t>(b * s.pitch() * s.channels) * dtype_size(dtype);
    if (!options.context.defined()) {
      std::memset(row, 0, lead_bytes);
    } else if (dtype == DType::bf16) {
      kernels::to_bfloat16(reinterpret_cast<std::uint16_t*>(row),
                           options.context.data<float>() + b * lead,
                           static_cast<std::size_t>(lead));
    } else {
      std::memcpy(row,
                  static_cast<const std::byte*>(options.context.raw()) +
                      static_cast<std::size_t>(b) * lead_bytes,
                  lead_bytes);
    }
  }
  for_row_blocks(s.batch, s.time, s.channels,
                 [&](std::int64_t, std::int64_t b, std::int64_t t, std::int64_t rows) {
                   const std::int64_t from = (b * s.time + t) * s.channels;
                   const std::int64_t to = (b * s.pitch() + s.kernel - 1 + t) * s.channels;
                   const std::int64_t n = rows * s.channels;
                   if (dtype == DType::bf16) {
                     drop(xp.data<std::uint16_t>() + to, x.data<float>() + from, n, options.dropout,
                          from);
                   } else {
                     dispatch_float(dtype, [&](auto zero) {
                       using T = decltype(zero);
                       drop(xp.data<T>() + to, x.data<T>() + from, n, options.dropout, from);
                     });
                   }
                 });
  return xp;
}

// The last K-1 rows of every stream of xp.
Tensor trailing_context(const Tensor& xp, const ConvShape& s, DType dtype) {
  Tensor context(Shape{s.batch, s.kernel - 1, s.channels}, dtype);
  const std::int64_t n = (s.kernel - 1) * s.channels;
  for (std::int64_t b = 0; b < s.batch && n > 0; ++b) {
    const std::int64_t from = (b * s.pitch() + s.time) * s.channels;
    if (xp.dtype() == DType::bf16) {
      kernels::from_bfloat16(context.data<float>() + b * n, xp.data<std::uint16_t>() + from,
                             static_cast<std::size_t>(n));
    } else {
      const std::size_t size = dtype_size(dtype);
      std::memcpy(static_cast<std::byte*>(context.raw()) + static_cast<std::size_t>(b * n) * size,
                  static_cast<const std::byte*>(xp.raw()) + static_cast<std::size_t>(from) * size,
                  static_cast<std::size_t>(n) * size);
    }
  }
  return context;
}

// z becomes its gradient, rows T.. of each stream zero; dbias is summed over blocks in order.
template <class T>
void unit_gradient(const Tensor& z, const Tensor& dbias, const Tensor& dy, const Tensor& bias,
                   const CausalConv& options, const ConvShape& s) {
  const std::int64_t m = s.outputs, n = dy.dim(-1), pitch = z.dim(2);
  const ProfileScope profile("unit", 0, unit_bytes(s.batch * s.time, 2 * m, n, dtype_of<T>));
  const std::int64_t blocks = row_blocks(s.batch, s.time);
  Tensor partial(Shape{blocks, m}, dtype_of<T>);
  for_row_blocks(
      s.batch, s.time, m,
      [&](std::int64_t block, std::int64_t b, std::int64_t t, std::int64_t rows) {
        T* sums = partial.data<T>() + block * m;
        std::fill(sums, sums + m, T{0});
        const std::int64_t at = (b * s.pitch() + t) * pitch;
        kernels::unit_backward(
            kernels::UnitBackward<T>{z.data<T>() + at, static_cast<std::size_t>(pitch), sums,
                                     dy.data<T>() + (b * s.time + t) * n, z.data<T>() + at,
                                     static_cast<std::size_t>(pitch), bias.data<T>(),
                                     static_cast<T>(options.scale),
                                     kernels::traffic_of(unit_bytes(rows, 2 * m, n, dtype_of<T>))},
            static_cast<std::size_t>(rows), static_cast<std::size_t>(n), options.unit);
        if (t + rows == s.time) {
          std::fill_n(z.data<T>() + (b * s.pitch() + s.time) * pitch, (s.kernel - 1) * pitch, T{0});
        }
      });
  dbias.fill_zero();
  kernels::column_sums(dbias.data<T>(), partial.data<T>(), static_cast<std::size_t>(blocks),
                       static_cast<std::size_t>(m));
}

// dx = dropout's gradient of the first T rows of each stream of dxp.
template <class T>
Tensor input_gradient(const Tensor& dxp, const CausalConv& options, const ConvShape& s) {
  if (s.kernel == 1 && options.dropout.probability == 0) return dxp;
  const ProfileScope profile("pad and dropout", 0, 2.0 * static_cast<double>(dxp.bytes()));
  Tensor dx(Shape{s.batch, s.time, s.channels}, dtype_of<T>);
  for_row_blocks(s.batch, s.time, s.channels,
                 [&](std::int64_t, std::int64_t b, std::int64_t t, std::int64_t rows) {
                   const std::int64_t to = (b * s.time + t) * s.channels;
                   drop(dx.data<T>() + to, dxp.data<T>() + (b * s.pitch() + t) * s.channels,
                        rows * s.channels, options.dropout, to);
                 });
  return dx;
}

}  // namespace

Variable direct_conv_unit(const ConvCall& call) {
  const ConvShape& s = call.shape;
  const CausalConv& options = call.options;
  const DType dtype = call.x.dtype();
  const DType operand = call.operand;
  const std::int64_t n = call.outputs;
  const Tensor xp = padded_input(call.x.value(), options, s, operand);
  if (call.next_context != nullptr) *call.next_context = trailing_context(xp, s, dtype);
  Tensor weights = as_operand(call.w.value(), operand);
  std::int64_t pitch = s.outputs;
  if (s.time > 1) {  // a single step is bound by reading the weights once
    weights = spaced(weights);
    pitch = spaced_columns(s.outputs, operand);
  }
  const Shape z_shape{s.batch, s.pitch(), pitch};
  const Tensor z(z_shape, dtype);
  conv_forward(z, xp, weights, s);

  const Tensor y(Shape{s.batch, s.time, n}, dtype);
  dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    const ProfileScope profile("unit", 0, unit_bytes(s.batch * s.time, s.outputs, n, dtype));
    const auto residual_at = [&](std::int64_t at) {
      const Tensor& residual = call.residual.value();
      return residual.defined() ? residual.data<T>() + at : nullptr;
    };
    for_row_blocks(
        s.batch, s.time, s.outputs,
        [&](std::int64_t, std::int64_t b, std::int64_t t, std::int64_t rows) {
          const std::int64_t out = (b * s.time + t) * n;
          kernels::unit_forward(
              kernels::UnitForward<T>{y.data<T>() + out, z.data<T>() + (b * s.pitch() + t) * pitch,
                                      static_cast<std::size_t>(pitch), call.bias.value().data<T>(),
                                      residual_at(out), static_cast<T>(options.scale),
                                      kernels::traffic_of(unit_bytes(rows, s.outputs, n, dtype))},
              static_cast<std::size_t>(rows), static_cast<std::size_t>(n), options.unit);
        });
  });

  const bool kept = !options.recompute;
  return record(y, {call.x, call.w, call.bias, call.residual},
                [=, z = kept ? z : Tensor(), x = call.x.gradient(), w = call.w.gradient(),
                 bias_value = call.bias.value(), bias = call.bias.gradient(),
                 residual = call.residual.gradient()](const Tensor& dy) {
                  dispatch_float(dtype, [&](auto zero) {
                    using T = decltype(zero);
                    if (residual) residual->accumulate(scaled(dy, options.scale));
                    // z is not needed once its gradient is known: dz takes its place.
                    const Tensor dz = kept ? z : Tensor(z_shape, dtype);
                    if (!kept) conv_forward(dz, xp, weights, s);
                    const Tensor dbias(Shape{s.outputs}, dtype);
                    unit_gradient<T>(dz, dbias, dy, bias_value, options, s);
                    if (bias) bias->accumulate(dbias);
                    const Tensor dz_operand = as_operand(dz, operand);
                    if (w) {
                      const Tensor dw(Shape{s.kernel, s.channels, s.outputs}, dtype);
                      conv_backward_weight(dw, xp, dz_operand, s);
                      w->accumulate(dw);
                    }
                    if (x) {
                      const Tensor dxp(Shape{s.batch, s.pitch(), s.channels}, dtype);
                      conv_backward_input(dxp, dz_operand, weights, s);
                      x->accumulate(input_gradient<T>(dxp, options, s));
                    }
                  });
                });
}

}  // namespace sluice
