#include "sluice/autograd/weight_norm.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "normalised_weights.hpp"
#include "op_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/weight_norm.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
namespace {

// Calls f(zero, columns) on all threads for ranges of columns of w [.., N].
template <class F>
void for_columns(const Tensor& w, F&& f) {
  const std::int64_t n = w.dim(-1), rows = n == 0 ? 0 : w.elements() / n;
  dispatch_float(w.dtype(), [&](auto zero) {
    parallel_for(
        n, std::max<std::int64_t>(64, row_grain(rows)), [&](std::int64_t begin, std::int64_t end) {
          f(zero,
            kernels::ColumnRange{static_cast<std::size_t>(rows), static_cast<std::size_t>(n),
                                 static_cast<std::size_t>(begin), static_cast<std::size_t>(end)});
        });
  });
}

}  // namespace

WeightNorms weight_norms(const Tensor& v, const Tensor& gain) {
  const ProfileScope profile("weight norm", 0, static_cast<double>(v.bytes()));
  WeightNorms out{Tensor(gain.shape(), v.dtype()), Tensor(gain.shape(), v.dtype())};
  for_columns(v, [&](auto zero, const kernels::ColumnRange& columns) {
    using T = decltype(zero);
    kernels::weight_norm_forward(static_cast<T*>(nullptr), out.norm.data<T>(), v.data<T>(),
                                 gain.data<T>(), columns);
    for (std::size_t j = columns.begin; j < columns.end; ++j) {
      out.scale.data<T>()[j] = gain.data<T>()[j] / out.norm.data<T>()[j];
    }
  });
  return out;
}

void weight_norm_gradients(const Gradient& dv, const Gradient& dgain, const Tensor& dw,
                           const Tensor& v, const Tensor& gain, const Tensor& norm) {
  const ProfileScope profile("weight norm", 0, 5.0 * static_cast<double>(v.bytes()));
  const Tensor dg(gain.shape(), v.dtype());
  const Tensor squares(gain.shape(), DType::f64);
  for_columns(v, [&](auto zero, const kernels::ColumnRange& columns) {
    using T = decltype(zero);
    kernels::weight_norm_backward(
        kernels::WeightNormGradient<T>{dw.data<T>(), dg.data<T>(), squares.data<double>(),
                                       dw.data<T>(), v.data<T>(), gain.data<T>(), norm.data<T>()},
        columns);
  });
  const auto each = squares.span<double>();
  if (dv) dv->accumulate(dw, std::accumulate(each.begin(), each.end(), 0.0));
  if (dgain) dgain->accumulate(dg);
}

Tensor unchanging_gain(const Tensor& v) {
  Tensor gain(Shape{v.dim(-1)}, v.dtype());
  for_columns(v, [&](auto zero, const kernels::ColumnRange& columns) {
    using T = decltype(zero);
    kernels::column_norms(gain.data<T>(), v.data<T>(), columns);
  });
  return gain;
}

Variable weight_norm(const Variable& v, const Variable& g) {
  const std::int64_t n = v.shape()[-1];
  if (!(g.shape() == Shape{n})) {
    throw Error(fmt::format("weight_norm: gain {} does not fit the columns of {}", g.shape().str(),
                            v.shape().str()));
  }
  const ProfileScope profile("weight norm", 0, 2 * static_cast<double>(v.value().bytes()));
  const Tensor w(v.shape(), v.dtype());
  const Tensor norm(Shape{n}, v.dtype());
  for_columns(w, [&](auto zero, const kernels::ColumnRange& columns) {
    using T = decltype(zero);
    kernels::weight_norm_forward(w.data<T>(), norm.data<T>(), v.value().data<T>(),
                                 g.value().data<T>(), columns);
  });
  return record(
      w, {v, g},
      [=, vv = v.value(), gv = g.value(), v = v.gradient(), g = g.gradient()](const Tensor& dw) {
        // dw is this op's alone, and each of its elements is needed last where dv's goes.
        weight_norm_gradients(v, g, dw, vv, gv, norm);
      });
}

}  // namespace sluice
