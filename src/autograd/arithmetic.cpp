#include "sluice/autograd/arithmetic.hpp"

#include <fmt/format.h>

#include "op_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
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

Variable scale(const Variable& x, double a) {
  return record(scaled(x.value(), a), {x},
                [a, x = x.gradient()](const Tensor& dy) { x->accumulate(scaled(dy, a)); });
}

Variable sum(const Variable& x) { return reduce(x, 1.0); }

Variable mean(const Variable& x) {
  return reduce(x, 1.0 / static_cast<double>(x.value().elements()));
}

}  // namespace sluice
