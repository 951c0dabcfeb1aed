#pragma once
// Weight normalisation (Salimans & Kingma 2016) of the columns of a matrix. One thread, no
// allocation.

#include <cstddef>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// Columns [begin, end) of a matrix [rows, n]: callers may split columns over threads.
struct ColumnRange {
  std::size_t rows, n, begin, end;
};

/// norm[j] = ‖v[:, j]‖₂, summed in double in order of rows: the gains that make normalisation
/// change nothing at first.
void column_norms(float* norm, const float* v, const ColumnRange& columns);
void column_norms(double* norm, const double* v, const ColumnRange& columns);

/// norm[j] = ‖v[:, j]‖₂, w[:, j] = g[j] · v[:, j] / norm[j] (eq. 2); v, w [rows, n]; norm, g [n]. A
/// column of zeros gives NaN. With w null only the norms are computed.
void weight_norm_forward(float* w, float* norm, const float* v, const float* g,
                         const ColumnRange& columns);
void weight_norm_forward(double* w, double* norm, const double* v, const double* g,
                         const ColumnRange& columns);

/// Its gradient (eq. 3), written, not accumulated: dg[j] = (dw[:, j] · v[:, j]) / norm[j],
/// dv[:, j] = g[j] / norm[j] · (dw[:, j] - v[:, j] · (dw[:, j] · v[:, j]) / norm[j]²),
/// and squares[j] = ‖dv[:, j]‖². dv may be dw.
template <class T>
struct WeightNormGradient {
  T* dv;
  T* dg;
  double* squares;
  const T* dw;
  const T* v;
  const T* g;
  const T* norm;
};
void weight_norm_backward(const WeightNormGradient<float>& gradient, const ColumnRange& columns);
void weight_norm_backward(const WeightNormGradient<double>& gradient, const ColumnRange& columns);

}  // namespace sluice::kernels
SLUICE_API_END
