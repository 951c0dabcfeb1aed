#include "sluice/tensor/detail/orthonormal.hpp"

#include <cmath>

#include "sluice/base/parallel.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {

void orthonormalise(const Tensor& v) {
  const std::int64_t m = v.dim(0), length = v.dim(1);
  const auto n = static_cast<std::size_t>(length);
  double* const data = v.data<double>();
  for (std::int64_t k = 0; k < m; ++k) {
    double* const q = data + k * length;
    kernels::scale_into(q, q, 1.0 / std::sqrt(kernels::inner_product(q, q, n)), n);
    // Each row is worked on by one thread at a time.
    parallel_for(m - k - 1, row_grain(length), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t j = begin; j < end; ++j) {
        double* const row = data + (k + 1 + j) * length;
        kernels::add_scaled(row, q, -kernels::inner_product(row, q, n), n);
      }
    });
  }
}

}  // namespace sluice
