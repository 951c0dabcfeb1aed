#include <algorithm>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include "op_support.hpp"
#include "sluice/autograd/ops.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/elementwise.hpp"
#include "sluice/kernels/optim.hpp"
#include "sluice/tensor/elementwise.hpp"
#include "sparse_rows.hpp"

namespace sluice {
namespace {

template <class T>
double row_bytes(std::size_t rows, std::int64_t columns) {
  return static_cast<double>(rows * sizeof(T)) * static_cast<double>(columns);
}

// Rows of a matrix picked by index; `what` names the op in errors.
template <class T>
Tensor pick_rows(const Tensor& table, std::span<const std::int32_t> index, const char* what) {
  const std::int64_t rows = table.dim(0), columns = table.dim(1);
  const ProfileScope profile("embedding", 0, 2.0 * row_bytes<T>(index.size(), columns));
  for (const std::int32_t i : index) {
    if (i < 0 || i >= rows) {
      throw Error(fmt::format("{}: index {} is outside a table of {} rows", what, i, rows));
    }
  }
  const auto n = static_cast<std::int64_t>(index.size());
  Tensor out(Shape{n, columns}, table.dtype());
  T* to = out.data<T>();
  const T* from = table.data<T>();
  parallel_for(n, row_grain(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::memcpy(to + i * columns, from + index[static_cast<std::size_t>(i)] * columns,
                  static_cast<std::size_t>(columns) * sizeof(T));
    }
  });
  return out;
}

Variable picked(const Variable& table, std::span<const std::int32_t> index, const char* what) {
  if (table.shape().rank() != 2) {
    throw Error(fmt::format("{}: expected a matrix, got shape {}", what, table.shape().str()));
  }
  return dispatch_float(table.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Tensor y = pick_rows<T>(table.value(), index, what);
    return record(y, {table},
                  [table = table.gradient(),
                   ids = std::vector<std::int32_t>(index.begin(), index.end())](const Tensor& dy) {
                    double squares = 0;
                    SparseRows g = sum_rows(ids, dy, &squares);
                    table->accumulate(std::move(g), squares);
                  });
  });
}

template <class T>
void drop(const Tensor& y, const Tensor& x, const Dropout& d) {
  const ProfileScope profile("dropout", 0, 2 * static_cast<double>(x.bytes()));
  parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    kernels::dropout(y.data<T>() + begin, x.data<T>() + begin,
                     static_cast<std::size_t>(end - begin), d.probability, d.seed, d.stream, d.step,
                     static_cast<std::uint64_t>(begin));
  });
}

}  // namespace

Variable embedding(std::span<const std::int32_t> ids, const Variable& table) {
  return picked(table, ids, "embedding");
}

Variable gather_rows(const Variable& x, std::span<const std::int32_t> index) {
  return picked(x, index, "gather_rows");
}

Variable dropout(const Variable& x, const Dropout& d) {
  if (d.probability == 0) return x;
  const Tensor y(x.shape(), x.dtype());
  dispatch_float(x.dtype(), [&](auto zero) { drop<decltype(zero)>(y, x.value(), d); });
  return record(y, {x}, [x = x.gradient(), d](const Tensor& dy) {
    const Tensor dx(dy.shape(), dy.dtype());
    dispatch_float(dy.dtype(), [&](auto zero) { drop<decltype(zero)>(dx, dy, d); });
    x->accumulate(dx);
  });
}

Variable unit(const Variable& x, const Unit& u) {
  const Shape in = x.shape();
  if (in.rank() != 2 || (u.gated && in[1] % 2 != 0)) {
    throw Error(fmt::format("unit {}: expected [R, {}], got shape {}{}", unit_name(u),
                            u.gated ? "2N" : "N", in.str(),
                            in.rank() == 2 ? ", whose odd last dimension cannot be halved" : ""));
  }
  const std::int64_t m = in[1], n = u.gated ? m / 2 : m;
  const Tensor y(Shape{in[0], n}, x.dtype());
  const ProfileScope profile("unit", 0, static_cast<double>(x.value().bytes() + y.bytes()));
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_for(in[0], row_grain(m), [&](std::int64_t begin, std::int64_t end) {
      kernels::unit_forward(y.data<T>() + begin * n, x.value().data<T>() + begin * m,
                            static_cast<std::size_t>(m), static_cast<const T*>(nullptr),
                            static_cast<const T*>(nullptr), T{1},
                            static_cast<std::size_t>(end - begin), static_cast<std::size_t>(n), u);
    });
  });
  return record(y, {x}, [=, value = x.value(), x = x.gradient()](const Tensor& dy) {
    // dy is this op's alone; without a gate, an element of it is needed last where dx's goes.
    const Tensor dx = u.gated ? Tensor(value.shape(), value.dtype()) : dy;
    const ProfileScope backward("unit", 0, static_cast<double>(2 * value.bytes() + dy.bytes()));
    dispatch_float(value.dtype(), [&](auto zero) {
      using T = decltype(zero);
      parallel_for(value.dim(0), row_grain(m), [&](std::int64_t begin, std::int64_t end) {
        T* const to = dx.data<T>() + begin * m;
        const T* const from = dy.data<T>() + begin * n;
        const T* const z = value.data<T>() + begin * m;
        const auto rows = static_cast<std::size_t>(end - begin);
        const auto columns = static_cast<std::size_t>(n);
        if (!u.gated) {
          kernels::activation_backward(to, from, z, rows * columns, u.f, u.f_parameters);
          return;
        }
        kernels::unit_backward(to, 2 * columns, static_cast<T*>(nullptr), from, z, 2 * columns,
                               static_cast<const T*>(nullptr), T{1}, rows, columns, u);
      });
    });
    x->accumulate(dx);
  });
}

Variable add_scaled(const Variable& x, double a, const Variable& z, double b) {
  if (!(x.shape() == z.shape())) {
    throw Error(
        fmt::format("add_scaled: shapes {} and {} differ", x.shape().str(), z.shape().str()));
  }
  const Tensor y = scaled(x.value(), a);
  add_in_place(y, z.value(), b);
  return record(y, {x, z}, [a, b, x = x.gradient(), z = z.gradient()](const Tensor& dy) {
    if (x) x->accumulate(scaled(dy, a));
    if (z) z->accumulate(scaled(dy, b));
  });
}

Variable reshape(const Variable& x, Shape shape) {
  return record(
      x.value().reshape(shape), {x},
      [from = x.shape(), x = x.gradient()](const Tensor& dy) { x->accumulate(dy.reshape(from)); });
}

Variable weight_norm(const Variable& v, const Variable& g) {
  const std::int64_t n = v.shape()[-1];
  if (!(g.shape() == Shape{n})) {
    throw Error(fmt::format("weight_norm: gain {} does not fit the columns of {}", g.shape().str(),
                            v.shape().str()));
  }
  const ProfileScope profile("weight norm", 0, 2 * static_cast<double>(v.value().bytes()));
  const std::int64_t rows = n == 0 ? 0 : v.value().elements() / n;
  const std::int64_t grain = std::max<std::int64_t>(64, row_grain(rows));
  const Tensor w(v.shape(), v.dtype());
  const Tensor norm(Shape{n}, v.dtype());
  dispatch_float(v.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
      kernels::weight_norm_forward(w.data<T>(), norm.data<T>(), v.value().data<T>(),
                                   g.value().data<T>(), static_cast<std::size_t>(rows),
                                   static_cast<std::size_t>(n), static_cast<std::size_t>(begin),
                                   static_cast<std::size_t>(end));
    });
  });
  return record(
      w, {v, g},
      [=, vv = v.value(), gv = g.value(), v = v.gradient(), g = g.gradient()](const Tensor& dw) {
        const ProfileScope backward("weight norm", 0, 5 * static_cast<double>(vv.bytes()));
        // dw is this op's alone, and each of its elements is needed last where dv's goes.
        const Tensor& dv = dw;
        Tensor dg(gv.shape(), gv.dtype());
        const Tensor squares(gv.shape(), DType::f64);
        dispatch_float(vv.dtype(), [&](auto zero) {
          using T = decltype(zero);
          parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
            kernels::weight_norm_backward(
                dv.data<T>(), dg.data<T>(), squares.data<double>(), dw.data<T>(), vv.data<T>(),
                gv.data<T>(), norm.data<T>(), static_cast<std::size_t>(rows),
                static_cast<std::size_t>(n), static_cast<std::size_t>(begin),
                static_cast<std::size_t>(end));
          });
        });
        const auto columns = squares.span<double>();
        if (v) v->accumulate(dv, std::accumulate(columns.begin(), columns.end(), 0.0));
        if (g) g->accumulate(std::move(dg));
      });
}

Variable concat_rows(const Variable& top, const Variable& bottom) {
  if (top.shape().rank() != 2 || bottom.shape().rank() != 2 ||
      top.shape()[1] != bottom.shape()[1]) {
    throw Error(fmt::format("concat_rows: shapes {} and {} do not stack", top.shape().str(),
                            bottom.shape().str()));
  }
  const std::int64_t n = top.shape()[0], m = bottom.shape()[0];
  const Tensor y(Shape{n + m, top.shape()[1]}, top.dtype());
  y.rows(0, n).copy_from(top.value());
  y.rows(n, n + m).copy_from(bottom.value());
  return record(y, {top, bottom},
                [n, m, top = top.gradient(), bottom = bottom.gradient()](const Tensor& dy) {
                  if (top) top->accumulate(dy.rows(0, n).clone());
                  if (bottom) bottom->accumulate(dy.rows(n, n + m).clone());
                });
}

Variable scatter_rows(const std::vector<RowPart>& parts, std::int64_t rows) {
  if (parts.empty()) throw Error("scatter_rows: no parts given");
  const std::int64_t columns = parts.front().rows.shape()[1];
  const DType dtype = parts.front().rows.dtype();
  const Tensor y = Tensor::zeros(Shape{rows, columns}, dtype);
  std::vector<std::pair<Gradient, std::vector<std::int32_t>>> gradients;
  Variable inputs = parts.front().rows;
  for (const RowPart& part : parts) {
    if (!(part.rows.shape() == Shape{static_cast<std::int64_t>(part.index.size()), columns})) {
      throw Error(
          fmt::format("scatter_rows: a part of shape {} comes with {} indices of {} columns",
                      part.rows.shape().str(), part.index.size(), columns));
    }
    dispatch_float(dtype, [&](auto zero) {
      using T = decltype(zero);
      for (std::size_t i = 0; i < part.index.size(); ++i) {
        std::memcpy(y.data<T>() + part.index[i] * columns,
                    part.rows.value().data<T>() + static_cast<std::int64_t>(i) * columns,
                    static_cast<std::size_t>(columns) * sizeof(T));
      }
    });
    gradients.emplace_back(part.rows.gradient(), part.index);
    if (part.rows.requires_grad()) inputs = part.rows;
  }
  return record(y, {inputs}, [gradients](const Tensor& dy) {
    dispatch_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      for (const auto& [gradient, index] : gradients) {
        if (gradient) gradient->accumulate(pick_rows<T>(dy, index, "scatter_rows"));
      }
    });
  });
}

namespace {

// factor · Σ x.
Variable reduce(const Variable& x, double factor) {
  return dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    double total = 0;
    for (const T value : x.value().span<T>()) total += static_cast<double>(value);
    return record(
        filled(Shape{1}, x.dtype(), total * factor), {x},
        [shape = x.shape(), factor, x = x.gradient()](const Tensor& dy) {
          x->accumulate(filled(shape, dy.dtype(), static_cast<double>(*dy.data<T>()) * factor));
        });
  });
}

}  // namespace

Variable sum(const Variable& x) { return reduce(x, 1.0); }

Variable mean(const Variable& x) {
  return reduce(x, 1.0 / static_cast<double>(x.value().elements()));
}

}  // namespace sluice
