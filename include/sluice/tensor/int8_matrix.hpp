#pragma once
// A constant matrix of int8, in panels.

#include <cstddef>
#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/kernels/int8_panels.hpp"
#include "sluice/tensor/freeze.hpp"
#include "sluice/tensor/matrix_view.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// W [K, N] of int8 with a float32 scale per column (kernels/int8_panels.hpp): y = x·W for rows x
/// that are rounded to 16 bits. On processors with byte products (Int8Path) a row's result depends
/// neither on other rows nor on the number of threads. Immutable and cheap to copy (copies share
/// the elements); any number of threads may use one at once.
class Int8Matrix {
 public:
  static constexpr auto kColumns = static_cast<std::int64_t>(kernels::kInt8Columns);

  /// Nothing: no rows, no columns.
  Int8Matrix() = default;
  /// Rounds `w`, float32. Throws Error for more than kernels::kInt8MostInner rows.
  Int8Matrix(const MatrixView& w, const FreezeOptions& options);

  bool defined() const { return panels_.defined(); }
  std::int64_t inputs() const { return inputs_; }
  std::int64_t outputs() const { return outputs_; }
  std::size_t bytes() const;

  /// Rows ready to be multiplied.
  struct Rows {
    Tensor data, scales;
    std::int64_t count = 0, inputs = 0;
  };
  /// x [R, K], float32.
  Rows rounded(const MatrixView& x) const;

  /// y[r, j] = (x·W)[r, first + j], or +=, for j < count, by the calling thread: `first` a multiple
  /// of kColumns; rows of y ldy apart.
  struct Columns {
    std::int64_t first, count;
  };
  void product(float* y, std::int64_t ldy, const Rows& x, Columns columns, bool accumulate) const;
  /// The same for all columns, by all threads, of x [R, K] of float32.
  void product(float* y, std::int64_t ldy, const MatrixView& x, bool accumulate) const;

  /// y[k] = W[k, column] in float32.
  void column(float* y, std::int64_t column) const;

 private:
  std::int64_t panel_bytes() const;
  kernels::Int8Rows view(const Rows& x) const;

  std::int64_t inputs_ = 0, outputs_ = 0;
  Tensor panels_;  // int8 [P, panel_bytes()]
  Tensor scales_;  // [P, 16]
  Tensor sums_;    // int32 [P, 16]
};

}  // namespace sluice
SLUICE_API_END
