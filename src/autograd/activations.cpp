#include "sluice/autograd/activations.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "op_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/kernels/layer_units.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "unit_rows.hpp"

namespace sluice {
namespace {

double bytes_of(const Tensor& x, double times) { return times * static_cast<double>(x.bytes()); }

// Of `n` elements, each read and written `times` times in all.
template <class T>
kernels::Traffic traffic(std::size_t n, std::size_t times) {
  return kernels::traffic_of(static_cast<double>(n * times * sizeof(T)));
}

// An activation of n elements, and its gradient.
template <class T>
kernels::UnitForward<T> forward_pass(T* y, const T* x, std::size_t n) {
  return {.y = y, .z = x, .z_pitch = n, .traffic = traffic<T>(n, 2)};
}
template <class T>
kernels::UnitBackward<T> backward_pass(T* dx, const T* dy, const T* x, std::size_t n) {
  return {.dz = dx,
          .dz_pitch = n,
          .dbias = nullptr,
          .dy = dy,
          .z = x,
          .z_pitch = n,
          .traffic = traffic<T>(n, 3)};
}

// body(T{}, first element, elements) over ranges of all elements.
template <class Body>
void over_elements(const Tensor& x, const Body& body) {
  dispatch_float(x.dtype(), [&](auto zero) {
    parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      body(zero, begin, static_cast<std::size_t>(end - begin));
    });
  });
}

// body(T{}, first row, rows) over ranges of rows of `columns` elements.
template <class Body>
void over_rows(DType dtype, std::int64_t rows, std::int64_t columns, const Body& body) {
  dispatch_float(dtype, [&](auto zero) {
    parallel_for(rows, row_grain(columns), [&](std::int64_t begin, std::int64_t end) {
      body(zero, begin, static_cast<std::size_t>(end - begin));
    });
  });
}

// Columns of x seen as a matrix in which each column has a parameter of its own, or, when the
// parameter is shared, its last dimension.
std::int64_t parameter_columns(const char* op, const char* name, const Tensor& x,
                               const Tensor& parameter) {
  const Shape& shape = x.shape();
  const std::int64_t channels = shape.rank() == 0 ? 1 : shape[-1];
  const Shape& given = parameter.shape();
  if (given == Shape{1} || given == Shape{channels}) return channels;
  bool per_element = given.rank() == shape.rank() - 1;
  for (int i = 0; per_element && i < given.rank(); ++i) per_element = given[i] == shape[i + 1];
  if (per_element) return given.elements();
  throw Error(fmt::format(
      "{}: expected {} of shape [1], [{}] or x's without the first dimension, got {} for x {}", op,
      name, channels, given.str(), shape.str()));
}

// One parameter for each column.
Tensor spread(const Tensor& parameter, std::int64_t columns) {
  if (parameter.elements() == columns) return parameter;
  return dispatch_float(parameter.dtype(), [&](auto zero) {
    using T = decltype(zero);
    return filled(Shape{columns}, parameter.dtype(), static_cast<double>(*parameter.data<T>()));
  });
}

// Rows are summed in blocks that depend on the shape alone, so that gradients of parameters are the
// same for any number of threads.
constexpr std::int64_t kMostBlocks = 32;

// `forward` and `backward` are called as kernels::prelu_forward and prelu_backward are.
template <class Forward, class Backward>
Variable learned(const char* op, const char* name, const Variable& x, const Variable& parameter,
                 const Forward& forward, const Backward& backward) {
  if (parameter.dtype() != x.dtype()) {
    throw Error(fmt::format("{}: expected {} of x's type {}, got {}", op, name,
                            dtype_name(x.dtype()), dtype_name(parameter.dtype())));
  }
  const std::int64_t n = parameter_columns(op, name, x.value(), parameter.value());
  const std::int64_t rows = n == 0 ? 0 : x.value().elements() / n;
  const Tensor values = spread(parameter.value(), n);
  const Tensor y(x.shape(), x.dtype());
  {
    const ProfileScope profile("unit", 0, bytes_of(y, 2));
    over_rows(x.dtype(), rows, n, [&](auto zero, std::int64_t begin, std::size_t count) {
      using T = decltype(zero);
      forward(kernels::LearnedForward<T>{y.data<T>() + begin * n, x.value().data<T>() + begin * n,
                                         values.data<T>(),
                                         traffic<T>(count * static_cast<std::size_t>(n), 2)},
              count, static_cast<std::size_t>(n));
    });
  }
  return record(
      y, {x, parameter},
      [=, xv = x.value(), x = x.gradient(), shape = parameter.shape(),
       parameter = parameter.gradient()](const Tensor& dy) {
        const ProfileScope profile("unit", 0, bytes_of(dy, 3));
        const std::int64_t block = std::max(row_grain(n), (rows + kMostBlocks - 1) / kMostBlocks);
        const std::int64_t blocks = (rows + block - 1) / block;
        // dy is this op's alone: dx goes where it was.
        const Tensor& dx = dy;
        const Tensor sums =
            parameter ? Tensor::zeros(Shape{blocks, n}, dy.dtype()) : Tensor(Shape{0}, dy.dtype());
        dispatch_float(dy.dtype(), [&](auto zero) {
          using T = decltype(zero);
          parallel_for(blocks, 1, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t b = begin; b < end; ++b) {
              const std::int64_t first = b * block, last = std::min(rows, first + block);
              const auto count = static_cast<std::size_t>(last - first);
              backward(
                  kernels::LearnedBackward<T>{
                      dx.data<T>() + first * n, parameter ? sums.data<T>() + b * n : nullptr,
                      dy.data<T>() + first * n, xv.data<T>() + first * n, values.data<T>(),
                      traffic<T>(count * static_cast<std::size_t>(n), 3)},
                  count, static_cast<std::size_t>(n));
            }
          });
          if (parameter) {
            const Tensor gradient = Tensor::zeros(Shape{n}, dy.dtype());
            kernels::column_sums(gradient.data<T>(), sums.data<T>(),
                                 static_cast<std::size_t>(blocks), static_cast<std::size_t>(n));
            if (shape.elements() == n) {
              parameter->accumulate(gradient.reshape(shape));
            } else {
              double total = 0;
              for (const T each : gradient.span<T>()) total += static_cast<double>(each);
              parameter->accumulate(filled(shape, dy.dtype(), total));
            }
          }
        });
        if (x) x->accumulate(dx);
      });
}

}  // namespace

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
      kernels::unit_forward(kernels::UnitForward<T>{.y = y.data<T>() + begin * n,
                                                    .z = x.value().data<T>() + begin * m,
                                                    .z_pitch = static_cast<std::size_t>(m),
                                                    .traffic = kernels::traffic_of(unit_bytes(
                                                        end - begin, m, n, dtype_of<T>))},
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
        const auto pitch = static_cast<std::size_t>(m);
        kernels::unit_backward(
            kernels::UnitBackward<T>{
                .dz = dx.data<T>() + begin * m,
                .dz_pitch = pitch,
                .dbias = nullptr,
                .dy = dy.data<T>() + begin * n,
                .z = value.data<T>() + begin * m,
                .z_pitch = pitch,
                .traffic = kernels::traffic_of(unit_bytes(end - begin, 2 * m, n, dtype_of<T>))},
            static_cast<std::size_t>(end - begin), static_cast<std::size_t>(n), u);
      });
    });
    x->accumulate(dx);
  });
}

Variable activation(const Variable& x, Activation f, const ActivationParameters& parameters) {
  const Unit unit{.f = f, .f_parameters = parameters};
  check_unit(unit);
  const Tensor y(x.shape(), x.dtype());
  {
    const ProfileScope profile("unit", 0, bytes_of(y, 2));
    over_elements(y, [&](auto zero, std::int64_t begin, std::size_t n) {
      using T = decltype(zero);
      kernels::unit_forward(forward_pass(y.data<T>() + begin, x.value().data<T>() + begin, n), 1, n,
                            unit);
    });
  }
  return record(y, {x}, [=, xv = x.value(), x = x.gradient()](const Tensor& dy) {
    const ProfileScope profile("unit", 0, bytes_of(dy, 3));
    // dy is this op's alone: dx goes where it was.
    over_elements(dy, [&](auto zero, std::int64_t begin, std::size_t n) {
      using T = decltype(zero);
      T* const gradient = dy.data<T>() + begin;
      kernels::unit_backward(backward_pass(gradient, gradient, xv.data<T>() + begin, n), 1, n,
                             unit);
    });
    x->accumulate(dy);
  });
}

Variable activation(const Variable& x, Activation f) {
  return activation(x, f, default_parameters(f));
}

Variable prelu(const Variable& x, const Variable& alpha) {
  return learned(
      "prelu", "alpha", x, alpha, [](const auto&... a) { kernels::prelu_forward(a...); },
      [](const auto&... a) { kernels::prelu_backward(a...); });
}

Variable swish(const Variable& x, const Variable& beta) {
  return learned(
      "swish", "beta", x, beta, [](const auto&... a) { kernels::swish_forward(a...); },
      [](const auto&... a) { kernels::swish_backward(a...); });
}

Variable rrelu(const Variable& x, float lower, float upper, bool training, const RandomKey& key) {
  if (!(lower >= 0 && lower <= upper && std::isfinite(upper))) {
    throw UsageError(fmt::format(
        "rrelu: expected slopes 0 <= lower <= upper, got lower {} and upper {}", lower, upper));
  }
  // A random slope from [s, s] is s: the mean, without drawing.
  const Unit leaky{.f = Activation::leaky_relu, .f_parameters = {lower + (upper - lower) / 2, 0}};
  const auto apply = [=](const Tensor& y, const Tensor& v, const Tensor& at) {
    const ProfileScope profile("unit", 0, bytes_of(y, 3));
    over_elements(y, [&](auto zero, std::int64_t begin, std::size_t n) {
      using T = decltype(zero);
      T* const out = y.data<T>() + begin;
      const T* const in = at.data<T>() + begin;
      if (training) {
        kernels::rrelu(out, v.data<T>() + begin, in, n,
                       {lower, upper, key, static_cast<std::uint64_t>(begin)}, traffic<T>(n, 3));
      } else if (v.raw() == at.raw()) {
        kernels::unit_forward(forward_pass(out, in, n), 1, n, leaky);
      } else {
        kernels::unit_backward(backward_pass(out, v.data<T>() + begin, in, n), 1, n, leaky);
      }
    });
  };
  const Tensor y(x.shape(), x.dtype());
  apply(y, x.value(), x.value());
  return record(y, {x}, [=, xv = x.value(), x = x.gradient()](const Tensor& dy) {
    // dy is this op's alone: dx goes where it was.
    apply(dy, dy, xv);
    x->accumulate(dy);
  });
}

Variable stochastic_gelu(const Variable& x, const RandomKey& key) {
  const Unit gelu{.f = Activation::gelu};
  // v where uniform(i) < Φ(x), else 0. Without Φ itself: uniform · |x| < |gelu(x)|.
  const auto masked = [=](const Tensor& y, const Tensor& v, const Tensor& at) {
    const ProfileScope profile("unit", 0, bytes_of(y, 3));
    over_elements(y, [&](auto zero, std::int64_t begin, std::size_t n) {
      using T = decltype(zero);
      const T* const in = at.data<T>() + begin;
      const T* const from = v.data<T>() + begin;
      T* const out = y.data<T>() + begin;
      std::vector<T> mean(n), drawn(n), below(n);
      kernels::unit_forward(forward_pass(mean.data(), in, n), 1, n, gelu);
      for (std::size_t i = 0; i < n; ++i) below[i] = -std::abs(in[i]);
      // A slope drawn from [0, 1] of what is below 0.
      kernels::rrelu(drawn.data(), below.data(), below.data(), n,
                     {0, 1, key, static_cast<std::uint64_t>(begin)}, traffic<T>(n, 3));
      for (std::size_t i = 0; i < n; ++i) {
        const bool kept = -drawn[i] < std::abs(mean[i]);
        out[i] = std::isnan(in[i]) ? in[i] : kept ? from[i] : T{0};
      }
    });
  };
  const Tensor y(x.shape(), x.dtype());
  masked(y, x.value(), x.value());
  return record(y, {x}, [=, xv = x.value(), x = x.gradient()](const Tensor& dy) {
    // dy is this op's alone: dx goes where it was.
    masked(dy, dy, xv);
    x->accumulate(dy);
  });
}

Variable maxout(const Variable& z, std::int64_t k) {
  const Shape shape = z.shape();
  if (shape.rank() != 2 || k < 1 || shape[1] % k != 0) {
    throw Error(fmt::format("maxout of {}: expected [R, {}N], got shape {}", k, k, shape.str()));
  }
  const std::int64_t rows = shape[0], columns = shape[1], n = columns / k;
  const auto of = [=](std::size_t count) {
    return kernels::MaxoutShape{count, static_cast<std::size_t>(n), static_cast<std::size_t>(k)};
  };
  const Tensor y(Shape{rows, n}, z.dtype());
  {
    const ProfileScope profile("unit", 0, bytes_of(z.value(), 1) + bytes_of(y, 1));
    over_rows(z.dtype(), rows, columns, [&](auto zero, std::int64_t begin, std::size_t count) {
      using T = decltype(zero);
      const kernels::MaxoutShape part = of(count);
      kernels::maxout_forward(y.data<T>() + begin * n, z.value().data<T>() + begin * columns, part,
                              traffic<T>(part.rows * part.n, part.k + 1));
    });
  }
  return record(y, {z}, [=, zv = z.value(), z = z.gradient()](const Tensor& dy) {
    const ProfileScope profile("unit", 0, bytes_of(zv, 2) + bytes_of(dy, 1));
    const Tensor dz(shape, zv.dtype());
    over_rows(zv.dtype(), rows, columns, [&](auto zero, std::int64_t begin, std::size_t count) {
      using T = decltype(zero);
      const kernels::MaxoutShape part = of(count);
      kernels::maxout_backward(dz.data<T>() + begin * columns, dy.data<T>() + begin * n,
                               zv.data<T>() + begin * columns, part,
                               traffic<T>(part.rows * part.n, 2 * part.k + 1));
    });
    z->accumulate(dz);
  });
}

}  // namespace sluice
