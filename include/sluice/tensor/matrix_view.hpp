#pragma once
// Matrices inside tensors, as products and whoever prepares their operands see them.

#include <cstddef>
#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A matrix operand: `rows` × `columns` as the product sees it, element (i, j) at i·ld + j, or at
/// j·ld + i when transposed. It owns nothing: the elements must outlive it.
struct MatrixView {
  const void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t ld = 0;
  bool transposed = false;

  /// Rows [first, first + count).
  MatrixView row_range(std::int64_t first, std::int64_t count) const {
    return {at(first * (transposed ? 1 : ld)), dtype, count, columns, ld, transposed};
  }
  /// Columns [first, first + count).
  MatrixView column_range(std::int64_t first, std::int64_t count) const {
    return {at(first * (transposed ? ld : 1)), dtype, rows, count, ld, transposed};
  }

 private:
  const void* at(std::int64_t element) const {
    return static_cast<const std::byte*>(data) +
           static_cast<std::size_t>(element) * dtype_size(dtype);
  }
};

/// The transpose of a view.
inline MatrixView transpose(const MatrixView& m) {
  return {m.data, m.dtype, m.columns, m.rows, m.ld, !m.transposed};
}

/// `rows` × `columns` elements at `data`, rows `ld` apart.
template <Element T>
MatrixView matrix(const T* data, std::int64_t rows, std::int64_t columns, std::int64_t ld) {
  return {data, dtype_of<T>, rows, columns, ld, false};
}
/// The same, contiguous.
template <Element T>
MatrixView matrix(const T* data, std::int64_t rows, std::int64_t columns) {
  return matrix(data, rows, columns, columns);
}
/// The same in a tensor, from its element `first` on.
inline MatrixView matrix(const Tensor& x, std::int64_t first, std::int64_t rows,
                         std::int64_t columns, std::int64_t ld) {
  const auto offset = static_cast<std::size_t>(first) * dtype_size(x.dtype());
  return {static_cast<const std::byte*>(x.raw()) + offset, x.dtype(), rows, columns, ld, false};
}
/// x [.., C] as one matrix of rows of C.
inline MatrixView matrix(const Tensor& x) {
  const int last = x.shape().rank() - 1;
  std::int64_t rows = 1;
  for (int i = 0; i < last; ++i) rows *= x.dim(i);
  return matrix(x, 0, rows, x.dim(last), x.dim(last));
}

}  // namespace sluice
SLUICE_API_END
