#include "sluice/tensor/prepared_weight.hpp"

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
namespace {

/// Rows of `x` rounded to bfloat16, one after another.
Tensor rounded(const MatrixView& x) {
  const ProfileScope profile("to bfloat16", 0, 6.0 * static_cast<double>(x.rows * x.columns));
  Tensor out(Shape{x.rows, x.columns}, DType::bf16);
  const auto* const from = static_cast<const float*>(x.data);
  parallel_for(x.rows, row_grain(x.columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      kernels::to_bfloat16(out.data<std::uint16_t>() + r * x.columns, from + r * x.ld,
                           static_cast<std::size_t>(x.columns));
    }
  });
  return out;
}

}  // namespace

Tensor frozen_tensor(const Tensor& tensor, const FreezeOptions& options) {
  return tensor.defined() && options.copy ? tensor.clone() : tensor;
}

PreparedWeight::PreparedWeight(const Tensor& w, WeightLayout layout, const FreezeOptions& options)
    : layout_(layout) {
  if (!w.defined() || w.dtype() != DType::f32 || w.shape().rank() != 2) {
    throw Error(fmt::format("prepared weight: expected a float32 matrix, got {}{}",
                            w.defined() ? dtype_name(w.dtype()) : "nothing",
                            w.defined() ? " " + w.shape().str() : ""));
  }
  data_ = options.precision == Precision::bf16 ? rounded(matrix(w)) : frozen_tensor(w, options);
}

void PreparedWeight::product(float* y, std::int64_t ldy, const MatrixView& x,
                             bool accumulate) const {
  if (x.columns != inputs() || x.transposed) {
    throw Error(fmt::format("prepared weight: rows of {} do not fit a matrix [{}, {}]", x.columns,
                            inputs(), outputs()));
  }
  const MatrixView w =
      layout_ == WeightLayout::outputs_by_inputs ? transpose(matrix(data_)) : matrix(data_);
  if (x.dtype == operand()) {
    // A single row is bound by reading W once: gemm.hpp says how that is asked for.
    gemm(y, x.rows == 1 ? 2 * outputs() : ldy, x, w, accumulate);
    return;
  }
  const Tensor operand_rows = rounded(x);
  gemm(y, ldy, matrix(operand_rows), w, accumulate);
}

Tensor PreparedWeight::product(const Tensor& x) const {
  const Tensor y(Shape{x.dim(0), outputs()});
  product(y.data<float>(), outputs(), matrix(x));
  return y;
}

}  // namespace sluice
