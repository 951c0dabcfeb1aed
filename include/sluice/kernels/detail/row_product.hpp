#pragma once
// Few rows by a constant matrix as it lies in memory: the matrix is read once.

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {

/// Rows x [R, inner], y [R, columns], and a matrix w of float32 or bfloat16
/// (widened), whose rows are `ld` elements apart. Sums are of float32, by fused multiply-adds where
/// the target has them; a row's result does not depend on R, nor on how columns are split over
/// several calls. Against exact sums the error is at most (inner / 8 + 16) · 2^-24 · Σ |x · w|.
template <class W>
struct RowProduct {
  float* y;
  std::size_t y_pitch;
  const float* x;
  std::size_t x_pitch;
  const W* w;
  std::size_t ld, inner, columns;
  /// Whether products are added to y.
  bool accumulate;
};

/// y[r, j] = Σ_k x[r, k] · w[k · ld + j], or y[r, j] +=: a matrix whose rows are inputs.
void multiply_by_inputs(const RowProduct<float>& product, std::size_t rows);
void multiply_by_inputs(const RowProduct<std::uint16_t>& product, std::size_t rows);
/// y[r, j] = Σ_k x[r, k] · w[j · ld + k], or y[r, j] +=: a matrix whose rows are outputs.
void multiply_by_outputs(const RowProduct<float>& product, std::size_t rows);
void multiply_by_outputs(const RowProduct<std::uint16_t>& product, std::size_t rows);

}  // namespace sluice::kernels
