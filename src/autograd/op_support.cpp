#include "op_support.hpp"

#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/elementwise.hpp"
#include "sluice/tensor/elementwise.hpp"

namespace sluice {

DType gemm_dtype(DType dtype, Precision precision) {
  return precision == Precision::bf16 && dtype == DType::f32 ? DType::bf16 : dtype;
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
