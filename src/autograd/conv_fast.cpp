#include <cstring>

#include "conv_paths.hpp"
#include "op_support.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/elementwise.hpp"
#include "sluice/tensor/fast_conv.hpp"

namespace sluice {
namespace {

// dropout(x): x itself where nothing is dropped.
Tensor dropped(const Tensor& x, const Dropout& dropout, const ConvShape& s) {
  if (dropout.probability == 0) return x;
  const ProfileScope profile("dropout", 0, 2.0 * static_cast<double>(x.bytes()));
  const Tensor y(x.shape(), x.dtype());
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for_row_blocks(s.batch, s.time, s.channels,
                   [&](std::int64_t, std::int64_t b, std::int64_t t, std::int64_t rows) {
                     const std::int64_t at = (b * s.time + t) * s.channels;
                     drop(y.data<T>() + at, x.data<T>() + at, rows * s.channels, dropout, at);
                   });
  });
  return y;
}

// The last K-1 rows of every stream of the context followed by x.
Tensor trailing_rows(const ConvInput& input, const ConvShape& s) {
  const std::int64_t lead = s.kernel - 1;
  const Tensor rows(Shape{s.batch, lead, s.channels}, input.x.dtype());
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

// The transformed filters: a frozen layer's are kept for the calls that follow.
Tensor filters_of(const ConvCall& call, const FastConv& conv, int tile) {
  KeptFilters* const kept = call.options.kept.get();
  if (kept == nullptr) return conv.transform(call.w.value());
  if (kept->tile != tile || kept->operand != call.operand || !kept->filters.defined()) {
    *kept = {tile, call.operand, conv.transform(call.w.value())};
  }
  return kept->filters;
}

double unit_bytes(std::int64_t rows, std::int64_t inputs, std::int64_t outputs, DType dtype) {
  return static_cast<double>(rows * (inputs + outputs)) *
         static_cast<double>(dtype_size(dtype));
}

}  // namespace

Variable fast_conv_unit(const ConvCall& call, int tile) {
  const ConvShape& s = call.shape;
  const CausalConv& options = call.options;
  const DType dtype = call.x.dtype();
  const std::int64_t n = call.outputs;
  const FastConv conv(s, tile, dtype, call.operand);
  const ConvInput input{dropped(call.x.value(), options.dropout, s), options.context};
  if (call.next_context != nullptr) *call.next_context = trailing_rows(input, s);
  const Tensor filters = filters_of(call, conv, tile);

  // z is kept only for the gradient.
  const bool wanted = Tape::current() != nullptr;
  const Tensor z = wanted ? Tensor(Shape{s.batch, s.time, s.outputs}, dtype) : Tensor();
  const Tensor y(Shape{s.batch, s.time, n}, dtype);
  dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    conv.forward(z, input, filters, [&](const ConvRows& rows) {
      const ProfileScope profile("unit", 0, unit_bytes(rows.rows, s.outputs, n, dtype));
      const std::int64_t out = (rows.stream * s.time + rows.first) * n;
      kernels::unit_forward(
          y.data<T>() + out, static_cast<const T*>(rows.data), static_cast<std::size_t>(s.outputs),
          call.bias.value().data<T>(),
          call.residual.defined() ? call.residual.value().data<T>() + out : nullptr,
          static_cast<T>(options.scale), static_cast<std::size_t>(rows.rows),
          static_cast<std::size_t>(n), options.unit);
    });
  });

  return record(
      y, {call.x, call.w, call.bias, call.residual},
      [=, x = call.x.gradient(), w = call.w.gradient(), bias_value = call.bias.value(),
       bias = call.bias.gradient(), residual = call.residual.gradient()](const Tensor& dy) {
        dispatch_float(dtype, [&](auto zero) {
          using T = decltype(zero);
          if (residual) residual->accumulate(scaled(dy, options.scale));
          const Tensor partial = Tensor::zeros(Shape{conv.blocks(), s.outputs}, dtype);
          const Tensor dx = x ? Tensor(Shape{s.batch, s.time, s.channels}, dtype) : Tensor();
          const Tensor dw = w ? Tensor(Shape{s.kernel, s.channels, s.outputs}, dtype) : Tensor();
          conv.backward(dx, dw, input, filters, [&](const ConvRows& rows) {
            const ProfileScope profile("unit", 0,
                                       unit_bytes(rows.rows, 2 * s.outputs, n, dtype));
            const std::int64_t at = rows.stream * s.time + rows.first;
            kernels::unit_backward(
                static_cast<T*>(rows.data), static_cast<std::size_t>(s.outputs),
                partial.data<T>() + rows.block * s.outputs, dy.data<T>() + at * n,
                z.data<T>() + at * s.outputs, static_cast<std::size_t>(s.outputs),
                bias_value.data<T>(), static_cast<T>(options.scale),
                static_cast<std::size_t>(rows.rows), static_cast<std::size_t>(n), options.unit);
          });
          if (bias) {
            const Tensor dbias = Tensor::zeros(Shape{s.outputs}, dtype);
            kernels::column_sums(dbias.data<T>(), partial.data<T>(),
                                 static_cast<std::size_t>(conv.blocks()),
                                 static_cast<std::size_t>(s.outputs));
            bias->accumulate(dbias);
          }
          if (w) w->accumulate(dw);
          if (x) x->accumulate(dropped(dx, options.dropout, s));
        });
      });
}

}  // namespace sluice
