#include "sluice/tensor/conv.hpp"

#include "sluice/tensor/gemm.hpp"

namespace sluice {
namespace {

// `rows` × `columns` of a row-major operand with rows of `pitch`, starting at element `offset`.
MatrixView view(const Tensor& x, std::int64_t offset, std::int64_t rows, std::int64_t columns,
                std::int64_t pitch) {
  const auto* base = static_cast<const std::byte*>(x.raw());
  return {base + static_cast<std::size_t>(offset) * dtype_size(x.dtype()),
          x.dtype(),
          rows,
          columns,
          pitch,
          false};
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
      gemm(z.data<T>(), s.pitch() * z.dim(2),
           view(xp, 0, s.batch, s.kernel * s.channels, s.kernel * s.channels),
           view(w, 0, s.kernel * s.channels, s.outputs, w.dim(2)));
      return;
    }
    const std::int64_t rows = s.batch * s.pitch() - (s.kernel - 1);
    for (std::int64_t k = 0; k < s.kernel; ++k) {
      gemm(z.data<T>(), z.dim(2), view(xp, k * s.channels, rows, s.channels, s.channels),
           view(w, k * s.channels * w.dim(2), s.channels, s.outputs, w.dim(2)), k > 0);
    }
  });
}

void conv_backward_input(const Tensor& dx, const Tensor& dz, const Tensor& w, const ConvShape& s) {
  dispatch_float(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t rows = s.batch * s.pitch() - (s.kernel - 1);
    for (std::int64_t k = 0; k < s.kernel; ++k) {
      gemm(dx.data<T>(), s.channels,
           view(dz, (s.kernel - 1 - k) * dz.dim(2), rows, s.outputs, dz.dim(2)),
           transpose(view(w, k * s.channels * w.dim(2), s.channels, s.outputs, w.dim(2))), k > 0);
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
           transpose(view(xp, k * s.channels, rows, s.channels, s.channels)),
           view(dz, 0, rows, s.outputs, dz.dim(2)));
    }
  });
}

}  // namespace sluice
