#include "sluice/tensor/detail/operand.hpp"

#include <algorithm>

#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {

DType operand_type(DType dtype, Precision precision) {
  return precision == Precision::bf16 && dtype == DType::f32 ? DType::bf16 : dtype;
}

Tensor spaced(const Tensor& x) {
  const std::int64_t columns = x.dim(-1), pitch = spaced_columns(columns, x.dtype());
  if (pitch == columns) return x;
  const ProfileScope profile("space rows", 0, 2.0 * static_cast<double>(x.bytes()));
  const std::int64_t rows = x.elements() / columns;
  Tensor y(x.shape().with_dim(-1, pitch), x.dtype());
  parallel_for(rows, row_grain(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      std::copy_n(x.data<float>() + r * columns, columns, y.data<float>() + r * pitch);
    }
  });
  return y;
}

Tensor as_operand(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  const ProfileScope profile("to bfloat16", 0, 1.5 * static_cast<double>(x.bytes()));
  Tensor rounded(x.shape(), dtype);
  std::uint16_t* out = rounded.data<std::uint16_t>();
  const float* in = x.data<float>();
  parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    kernels::to_bfloat16(out + begin, in + begin, static_cast<std::size_t>(end - begin));
  });
  return rounded;
}

}  // namespace sluice
