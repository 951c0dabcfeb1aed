#pragma once
// What attention needs between its matrix products: rotation of positions, softmax over a band of
// scores, and products of one row. One thread, no allocation.

#include <cstddef>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// Rotary position embedding of one head's vector (Su et al. 2021, eq. 34), in the half-split
/// pairing of GPT-NeoX: element i turns with element i + pairs,
///   y[i]         = scale · (x[i] · cosine[i] - x[i + pairs] · sine[i])
///   y[i + pairs] = scale · (x[i + pairs] · cosine[i] + x[i] · sine[i]),  i < pairs
/// or, with `back`, by the opposite angle, which is also the gradient. y may be x.
template <class T>
struct Rotation {
  const T* cosine;
  const T* sine;
  T scale = 1;
  bool back = false;
};
void rotate_pairs(float* y, const float* x, const Rotation<float>& rotation, std::size_t pairs);
void rotate_pairs(double* y, const double* x, const Rotation<double>& rotation, std::size_t pairs);

/// Columns [max(first + r, 0), min(last + r, n)) of row r: what a row of scores may see.
struct Band {
  std::ptrdiff_t first = 0, last = 0;
};
/// Rows of n scores with row pitch `pitch`, each with its band.
struct BandedRows {
  std::size_t rows, n, pitch;
  Band band;
};

/// Softmax of each row over its band, in place; elements outside become 0. stats[2r] receives the
/// band's largest element and stats[2r + 1] the reciprocal of Σ e^(x - largest). A band is not
/// empty. -Inf gives 0; NaN in a band makes it NaN.
void band_softmax(float* x, float* stats, const BandedRows& shape);
void band_softmax(double* x, double* stats, const BandedRows& shape);

/// Its gradient from scores x, which become p = softmax(x) again, the same bits as before, and dp,
/// which becomes dx = p ⊙ (dp - Σ_j p_j dp_j); 0 outside the band in both.
void band_softmax_backward(float* x, float* dp, const float* stats, const BandedRows& shape);
void band_softmax_backward(double* x, double* dp, const double* stats, const BandedRows& shape);

/// y[r] = Σ_i x[r, i] · v[i], and y[i] = Σ_r w[r] · x[r, i]: x [rows, n] with row pitch `pitch`.
void matrix_times_vector(float* y, const float* x, const float* v, std::size_t rows, std::size_t n,
                         std::size_t pitch);
void matrix_times_vector(double* y, const double* x, const double* v, std::size_t rows,
                         std::size_t n, std::size_t pitch);
void vector_times_matrix(float* y, const float* w, const float* x, std::size_t rows, std::size_t n,
                         std::size_t pitch);
void vector_times_matrix(double* y, const double* w, const double* x, std::size_t rows,
                         std::size_t n, std::size_t pitch);

}  // namespace sluice::kernels
SLUICE_API_END
