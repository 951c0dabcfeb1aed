#include "sluice/autograd/softmax.hpp"

#include <fmt/format.h>

#include <cstddef>

#include "op_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/softmax.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
namespace {

using kernels::SoftmaxKind;

// body(T{}, first element, rows) over ranges of rows.
template <class Body>
void over_rows(const Tensor& x, const Body& body) {
  const std::int64_t n = x.dim(-1);
  dispatch_float(x.dtype(), [&](auto zero) {
    parallel_for(x.elements() / n, row_grain(n), [&](std::int64_t begin, std::int64_t end) {
      body(zero, begin * n, static_cast<std::size_t>(end - begin));
    });
  });
}

Variable apply(const char* name, const Variable& x, SoftmaxKind kind) {
  if (x.shape().rank() == 0 || x.shape()[-1] == 0) {
    throw Error(fmt::format("{}: at least one element in the last dimension is needed, got x {}",
                            name, x.shape().str()));
  }
  const auto n = static_cast<std::size_t>(x.shape()[-1]);
  const Tensor y(x.shape(), x.dtype());
  {
    const ProfileScope profile("softmax", 0, 2.0 * static_cast<double>(y.bytes()));
    const kernels::Traffic traffic = kernels::traffic_of(2.0 * static_cast<double>(y.bytes()));
    over_rows(y, [&](auto zero, std::int64_t at, std::size_t rows) {
      using T = decltype(zero);
      kernels::softmax_forward(y.data<T>() + at, x.value().data<T>() + at,
                               {rows, n, kind, traffic});
    });
  }
  return record(y, {x}, [y, n, kind, x = x.gradient()](const Tensor& dy) {
    const ProfileScope profile("softmax", 0, 3.0 * static_cast<double>(y.bytes()));
    const kernels::Traffic traffic = kernels::traffic_of(3.0 * static_cast<double>(y.bytes()));
    // dy is this op's alone: dx goes where it was.
    over_rows(dy, [&](auto zero, std::int64_t at, std::size_t rows) {
      using T = decltype(zero);
      kernels::softmax_backward(dy.data<T>() + at, dy.data<T>() + at, y.data<T>() + at,
                                {rows, n, kind, traffic});
    });
    x->accumulate(dy);
  });
}

}  // namespace

Variable softmax(const Variable& x) { return apply("softmax", x, SoftmaxKind::softmax); }

Variable log_softmax(const Variable& x) {
  return apply("log_softmax", x, SoftmaxKind::log_softmax);
}

Variable softmin(const Variable& x) { return apply("softmin", x, SoftmaxKind::softmin); }

}  // namespace sluice
