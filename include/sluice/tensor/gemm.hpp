#pragma once
// Matrix multiplication through oneDNN, with primitives cached by shape.

#include <cstdint>

#include "sluice/tensor/tensor.hpp"

namespace sluice {

/// A matrix operand: `rows` × `columns` as the product sees it, element (i, j) at i·ld + j, or at
/// j·ld + i when transposed.
struct MatrixView {
  const void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t ld = 0;
  bool transposed = false;
};

/// A view of `rows` × `columns` contiguous elements at `data`.
template <class T>
MatrixView matrix(const T* data, std::int64_t rows, std::int64_t columns) {
  return {data, dtype_of<T>, rows, columns, columns, false};
}
/// The transpose of a view.
inline MatrixView transpose(MatrixView m) {
  return {m.data, m.dtype, m.columns, m.rows, m.ld, !m.transposed};
}

/// c = a · b, or c += a · b when `accumulate`; c is a.rows × b.columns with leading dimension ldc.
/// float32 × float32 → float32 and bfloat16 × bfloat16 → float32 (float32 accumulation) go to
/// oneDNN, double to a plain blocked loop. Throws Error saying both shapes when the inner
/// dimensions or the types differ. Empty operands are allowed (k = 0 gives c = 0). For a single row
/// of a, any ldc serves; one above b.columns has b read in place, not copied first, which is
/// faster. Any number of threads may multiply at once; OpenMP's settings are the host's afterwards.
void gemm(float* c, std::int64_t ldc, const MatrixView& a, const MatrixView& b,
          bool accumulate = false);
void gemm(double* c, std::int64_t ldc, const MatrixView& a, const MatrixView& b,
          bool accumulate = false);

/// Whether bfloat16 products work on this CPU: oneDNN has them from AVX-512 on (fast with AVX-512
/// BF16, fastest with AMX). Without, gemm throws Error for bfloat16 operands.
bool has_bfloat16_gemm();

}  // namespace sluice
