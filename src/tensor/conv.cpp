#include "sluice/tensor/conv.hpp"

#include "sluice/tensor/gemm.hpp"

namespace sluice {
namespace {

// `rows` × `columns` of a row-major operand, starting at element `offset`.
MatrixView view(const Tensor& x, std::int64_t offset, std::int64_t rows, std::int64_t columns) {
  const auto* base = static_cast<const std::byte*>(x.raw());
  return {base + static_cast<std::size_t>(offset) * dtype_size(x.dtype()),
          x.dtype(),
          rows,
          columns,
          columns,
          false};
}

}  // namespace

void conv_forward(const Tensor& z, const Tensor& xp, const Tensor& w, const ConvShape& s) {
  dispatch_float(z.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if (s.time == 1) {
      // One step: the K rows of a stream are one long row (row pitch K of z, first row used).
      gemm(z.data<T>(), s.pitch() * s.outputs, view(xp, 0, s.batch, s.kernel * s.channels),
           view(w, 0, s.kernel * s.channels, s.outputs));
      return;
    }
    const std::int64_t rows = s.batch * s.pitch() - (s.kernel - 1);
    for (std::int64_t k = 0; k < s.kernel; ++k) {
      gemm(z.data<T>(), s.outputs, view(xp, k * s.channels, rows, s.channels),
           view(w, k * s.channels * s.outputs, s.channels, s.outputs), k > 0);
    }
  });
}

void conv_backward_input(const Tensor& dx, const Tensor& dz, const Tensor& w, const ConvShape& s) {
  dispatch_float(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t rows = s.batch * s.pitch() - (s.kernel - 1);
    for (std::int64_t k = 0; k < s.kernel; ++k) {
      gemm(dx.data<T>(), s.channels, view(dz, (s.kernel - 1 - k) * s.outputs, rows, s.outputs),
           transpose(view(w, k * s.channels * s.outputs, s.channels, s.outputs)), k > 0);
    }
  });
}

void conv_backward_weight(const Tensor& dw, const Tensor& xp, const Tensor& dz,
                          const ConvShape& s) {
  dispatch_float(dw.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t rows = s.batch * s.pitch() - (s.kernel - 1);
    for (std::int64_t k = 0; k < s.kernel; ++k) {
      gemm(dw.data<T>() + k * s.channels * s.outputs, s.outputs,
           transpose(view(xp, k * s.channels, rows, s.channels)), view(dz, 0, rows, s.outputs));
    }
  });
}

}  // namespace sluice
