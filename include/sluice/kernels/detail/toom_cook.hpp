#pragma once
// Fast convolution over time by the method of Toom and Cook: its matrices, and the kernel that
// applies them to rows.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::kernels {

/// The algorithm F(m, r): m outputs of a correlation with r taps from n = m + r - 1 products,
///   y[s] = Σ_k x[s + k] · w[k] = Aᵀ [(G w) ⊙ (Bᵀ x)],   s < m, k < r.
/// A product of two polynomials of m and r coefficients is found from its values at n points, the
/// last of them infinity; transposing that (in the first polynomial) gives the correlation. With
/// the finite points p_i, N_i(x) = Π_{j≠i} (x - p_j) and i < n - 1:
///   row i of Bᵀ: the coefficients of N_i;                  the last: those of Π_j (x - p_j)
///   row i of G:  p_iᵏ / N_i(p_i);                          the last: 0, .., 0, 1
///   column i of Aᵀ: p_iˢ;                                  the last: 0, .., 0, 1
/// computed exactly in rational numbers and rounded once. Its gradients need no other matrices:
///   d(G w) = (Bᵀ x) ⊙ (A dy),  dw = Gᵀ d(G w),  dx = B [(G w) ⊙ (A dy)].
///
/// Sources: Toom 1963, Cook 1966; transposed as in Winograd 1980 and Lavin & Gray 2016; points
/// ordered after Barabasz et al. 2020 ("Error Analysis and Improving the Accuracy of Winograd
/// Convolution for DNNs"), chosen among 0, ±1, ±½, ±2, ±¼, ±4, 3/2, -2/3 by measured error.
///
/// Relative error (root mean square over outputs) in float32 with 256 channels, normal inputs and
/// weights, at most toom_cook_error(n)
/// (tests/tensor/fast_conv_test.cpp enforces it).
struct ToomCook {
  int tile = 0;    // m
  int kernel = 0;  // r
  int points() const { return tile + kernel - 1; }
  std::vector<double> input;   // Bᵀ [n, n]
  std::vector<double> filter;  // G [n, r]
  std::vector<double> output;  // Aᵀ [m, n]
};

/// Fewest and most points n there are matrices for.
inline constexpr int kLeastPoints = 3;
inline constexpr int kMostPoints = 10;

/// F(tile, kernel), made once. tile >= 2, kernel >= 2, kLeastPoints <= tile + kernel - 1 <=
/// kMostPoints, else UsageError.
const ToomCook& toom_cook(int tile, int kernel);

/// The stated bound on the relative error with n points (see ToomCook).
double toom_cook_error(int points);

/// A small matrix, row-major: `rows` × `columns`, 1 <= columns <= kMostPoints.
template <class T>
struct SmallMatrix {
  const T* elements;
  std::size_t rows, columns;
};

/// out[i][0..n) = Σ_j matrix[i, j] · in[j][0..n), summed in the order of j; then times scale[0..n)
/// unless that is null. Null out rows are skipped. No out row may overlap an in row. The second
/// form rounds to bfloat16 (to nearest even), once.
void combine_rows(float* const* out, const float* const* in, const SmallMatrix<float>& matrix,
                  std::size_t n, const float* scale = nullptr);
void combine_rows(std::uint16_t* const* out, const float* const* in,
                  const SmallMatrix<float>& matrix, std::size_t n, const float* scale = nullptr);
void combine_rows(double* const* out, const double* const* in, const SmallMatrix<double>& matrix,
                  std::size_t n, const double* scale = nullptr);

/// The same, added to what the out rows hold.
void combine_rows_onto(float* const* out, const float* const* in, const SmallMatrix<float>& matrix,
                       std::size_t n);
void combine_rows_onto(double* const* out, const double* const* in,
                       const SmallMatrix<double>& matrix, std::size_t n);

}  // namespace sluice::kernels
