#include "sluice/tensor/detail/rearrange.hpp"

#include "sluice/base/parallel.hpp"
#include "sluice/kernels/detail/permute.hpp"

namespace sluice {

Tensor swap_outer(const Tensor& x) {
  const std::int64_t a = x.dim(0), b = x.dim(1), c = x.dim(2);
  Tensor y(Shape{c, b, a}, x.dtype());
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_for(b, 32, [&](std::int64_t begin, std::int64_t end) {
      kernels::swap_outer(
          y.data<T>(), x.data<T>(),
          {static_cast<std::size_t>(a), static_cast<std::size_t>(b), static_cast<std::size_t>(c),
           static_cast<std::size_t>(begin), static_cast<std::size_t>(end)});
    });
  });
  return y;
}

}  // namespace sluice
