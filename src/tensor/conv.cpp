#include "sluice/tensor/conv.hpp"

#include "sluice/tensor/gemm.hpp"

namespace sluice {
namespace {

// w[k], [C, M].
MatrixView tap(const Tensor& w, const ConvShape& s, std::int64_t k) {
  return matrix(w).row_range(k * s.channels, s.channels).column_range(0, s.outputs);
}

}  // namespace

const EnumNames<ConvPath>& enum_names(ConvPath) {
  static const EnumNames<ConvPath> names(
      "conv path",
      {{ConvPath::automatic, "auto"}, {ConvPath::direct, "direct"}, {ConvPath::fast, "fast"}});
  return names;
}

void conv_forward(const Tensor& z, const Tensor& xp, const Tensor& w, const ConvShape& s) {
  dispatch_float(z.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if (s.time == 1) {
      // One step: the K rows of a stream are one long row (row pitch K of z, first row used).
      const std::int64_t inputs = s.kernel * s.channels;
      gemm(z.data<T>(), s.pitch() * z.dim(2), matrix(xp.reshape(Shape{s.batch, inputs})),
           matrix(w).column_range(0, s.outputs));
      return;
    }
    const std::int64_t rows = s.batch * s.pitch() - (s.kernel - 1);
    for (std::int64_t k = 0; k < s.kernel; ++k) {
      gemm(z.data<T>(), z.dim(2), matrix(xp).row_range(k, rows), tap(w, s, k), k > 0);
    }
  });
}

void conv_backward_input(const Tensor& dx, const Tensor& dz, const Tensor& w, const ConvShape& s) {
  dispatch_float(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t rows = s.batch * s.pitch() - (s.kernel - 1);
    for (std::int64_t k = 0; k < s.kernel; ++k) {
      gemm(dx.data<T>(), s.channels,
           matrix(dz).row_range(s.kernel - 1 - k, rows).column_range(0, s.outputs),
           transpose(tap(w, s, k)), k > 0);
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
           transpose(matrix(xp).row_range(k, rows)),
           matrix(dz).row_range(0, rows).column_range(0, s.outputs));
    }
  });
}

}  // namespace sluice
