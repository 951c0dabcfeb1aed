#pragma once
// Strips of columns: so many that their sums stay on the stack and in the first-level cache.

#include <cstddef>

namespace sluice::kernels {

/// Rows of a strip, `pitch` elements from one to the next, of which `columns` are the strip's.
struct StripRows {
  std::size_t rows, pitch, columns;
};

/// Of weight normalisation: the strip's first column of each matrix and of each vector.
template <class T>
struct StripGradients {
  T* dv;
  double* squares;
  const T* dw;
  const T* v;
  const T* along;
  const T* radial;
};

}  // namespace sluice::kernels
