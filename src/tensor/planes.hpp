#pragma once
// A matrix for each point of a fast convolution, and the small products that make them.

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/detail/toom_cook.hpp"
#include "sluice/tensor/detail/operand.hpp"
#include "sluice/tensor/matrix_view.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice {

inline constexpr auto kMost = static_cast<std::size_t>(kernels::kMostPoints);

/// A stack of n matrices of `rows` × `columns`, one for each point. Rows and planes are set apart a
/// little, since powers of two would put all of them into the same sets of the cache.
struct Planes {
  Tensor data;
  std::int64_t rows = 0, columns = 0;

  static std::int64_t stride_of(std::int64_t rows, std::int64_t columns, DType dtype) {
    return rows * spaced_columns(columns, dtype) + 96;
  }
  static Planes make(int n, std::int64_t rows, std::int64_t columns, DType dtype) {
    return {Tensor(Shape{n, stride_of(rows, columns, dtype)}, dtype), rows, columns};
  }

  std::int64_t pitch() const { return spaced_columns(columns, data.dtype()); }
  std::int64_t stride() const { return data.dim(1); }
  template <class T>
  T* at(std::int64_t plane, std::int64_t row) const {
    return data.data<T>() + plane * stride() + row * pitch();
  }
  /// Rows [first, first + count) of a plane as a matrix operand.
  MatrixView view(std::int64_t plane, std::int64_t first, std::int64_t count) const {
    return matrix(data, plane * stride() + first * pitch(), count, columns, pitch());
  }
};

template <class T>
std::vector<T> converted(const std::vector<double>& matrix) {
  std::vector<T> out(matrix.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(matrix[i]);
  return out;
}

/// The transpose of a [rows, columns] matrix.
template <class T>
std::vector<T> transposed(const std::vector<double>& matrix, std::size_t rows) {
  const std::size_t columns = matrix.size() / rows;
  std::vector<T> out(matrix.size());
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      out[j * rows + i] = static_cast<T>(matrix[i * columns + j]);
    }
  }
  return out;
}

template <class T>
kernels::SmallMatrix<T> small(const std::vector<T>& matrix, std::int64_t rows,
                              std::int64_t columns) {
  return {matrix.data(), static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)};
}

/// to.plane[p].row[row] = Σ_j matrix[p, j] · in[j] for every plane, rounded where `to` is bfloat16.
template <class T>
void spread(const Planes& to, std::int64_t row, const std::array<const T*, kMost>& in,
            const std::vector<T>& matrix, std::size_t columns, const T* scale = nullptr) {
  const std::size_t planes = matrix.size() / columns;
  const auto n = static_cast<std::size_t>(to.columns);
  const kernels::SmallMatrix<T> factors{matrix.data(), planes, columns};
  const auto rows_of = [&](auto zero) {
    using Out = decltype(zero);
    std::array<Out*, kMost> out;
    for (std::size_t p = 0; p < planes; ++p) {
      out[p] = to.at<Out>(static_cast<std::int64_t>(p), row);
    }
    return out;
  };
  if constexpr (std::is_same_v<T, float>) {
    if (to.data.dtype() == DType::bf16) {
      const auto out = rows_of(std::uint16_t{});
      kernels::combine_rows(out.data(), in.data(), factors, n, scale);
      return;
    }
  }
  const auto out = rows_of(T{});
  kernels::combine_rows(out.data(), in.data(), factors, n, scale);
}

}  // namespace sluice
