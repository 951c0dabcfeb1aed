#include "sluice/tensor/int8_matrix.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
namespace {

/// Multiply-adds worth a thread of their own.
constexpr std::int64_t kProductGrain = std::int64_t{1} << 17;
/// Rows that are multiplied together: few enough to stay in a cache.
constexpr std::int64_t kBlockRows = 256;

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

}  // namespace

Int8Matrix::Int8Matrix(const MatrixView& w, const FreezeOptions& options)
    : inputs_(w.rows), outputs_(w.columns) {
  if (w.dtype != DType::f32 || size(inputs_) > kernels::kInt8MostInner) {
    throw Error(fmt::format(
        "int8 weights: expected a float32 matrix of at most {} inputs, got {} of {}; use bf16",
        kernels::kInt8MostInner, dtype_name(w.dtype), w.rows));
  }
  const std::int64_t panels = (outputs_ + kColumns - 1) / kColumns;
  const Shape of_panels{panels, panel_bytes()}, of_columns{panels, kColumns};
  const auto* const data = static_cast<const float*>(w.data);
  const std::int64_t row_step = w.transposed ? 1 : w.ld, column_step = w.transposed ? w.ld : 1;
  Tensor elements, scales, sums;
  const auto round = [&] {
    elements = Tensor(of_panels, DType::i8);
    scales = Tensor(of_columns);
    sums = Tensor(of_columns, DType::i32);
    const ProfileScope profile("to int8", 0, 5.0 * static_cast<double>(w.rows * w.columns));
    parallel_for(panels, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        kernels::int8_pack_panel(
            {elements.data<std::int8_t>() + p * panel_bytes(), scales.data<float>() + p * kColumns,
             sums.data<std::int32_t>() + p * kColumns},
            {data + p * kColumns * column_step, size(row_step), size(column_step), size(inputs_),
             size(std::min(kColumns, outputs_ - p * kColumns))});
      }
    });
  };
  if (!options.shapes_only()) round();
  panels_ = frozen_part(options, of_panels, DType::i8, [&] { return elements; });
  scales_ = frozen_part(options, of_columns, DType::f32, [&] { return scales; });
  sums_ = frozen_part(options, of_columns, DType::i32, [&] { return sums; });
}

std::size_t Int8Matrix::bytes() const {
  return defined() ? panels_.bytes() + scales_.bytes() + sums_.bytes() : 0;
}

std::int64_t Int8Matrix::panel_bytes() const {
  return static_cast<std::int64_t>(kernels::int8_panel_rows(size(inputs_))) * kColumns;
}

kernels::Int8Rows Int8Matrix::view(const Rows& x) const {
  return {static_cast<std::byte*>(x.data.raw()), x.scales.data<float>(), size(x.count),
          size(x.inputs)};
}

Int8Matrix::Rows Int8Matrix::rounded(const MatrixView& x) const {
  const auto bytes = kernels::int8_rows_bytes(size(x.rows), size(x.columns));
  Rows rows{Tensor(Shape{static_cast<std::int64_t>(bytes)}, DType::i8), Tensor(Shape{x.rows}),
            x.rows, x.columns};
  const ProfileScope profile("to 16 bits", 0, 6.0 * static_cast<double>(x.rows * x.columns));
  parallel_for(x.rows, row_grain(x.columns), [&](std::int64_t begin, std::int64_t end) {
    kernels::int8_round_rows(view(rows), static_cast<const float*>(x.data), size(x.ld), size(begin),
                             size(end));
  });
  return rows;
}

void Int8Matrix::product(float* y, std::int64_t ldy, const Rows& x, Columns columns,
                         bool accumulate) const {
  const std::int64_t panel = columns.first / kColumns;
  kernels::int8_multiply(
      {y, size(ldy), view(x), panels_.data<std::int8_t>() + panel * panel_bytes(),
       scales_.data<float>() + panel * kColumns, sums_.data<std::int32_t>() + panel * kColumns,
       size(columns.count), accumulate});
}

void Int8Matrix::product(float* y, std::int64_t ldy, const MatrixView& x, bool accumulate) const {
  const auto m = static_cast<double>(x.rows), k = static_cast<double>(inputs_),
             n = static_cast<double>(outputs_);
  const ProfileScope profile("product int8", 2 * m * k * n, n * k + m * (2 * k + 4 * n));
  const std::int64_t panels = (outputs_ + kColumns - 1) / kColumns;
  for (std::int64_t row = 0; row < x.rows; row += kBlockRows) {
    const std::int64_t count = std::min(kBlockRows, x.rows - row);
    const Rows rows = rounded(x.row_range(row, count));
    const std::int64_t work = std::max<std::int64_t>(1, count * panel_bytes());
    parallel_for(panels, std::max<std::int64_t>(1, kProductGrain / work),
                 [&](std::int64_t begin, std::int64_t end) {
                   const std::int64_t first = begin * kColumns;
                   product(y + row * ldy + first, ldy, rows,
                           {first, std::min(end * kColumns, outputs_) - first}, accumulate);
                 });
  }
}

void Int8Matrix::column(float* y, std::int64_t column) const {
  const std::int64_t panel = column / kColumns;
  kernels::int8_unpack_column(y, panels_.data<std::int8_t>() + panel * panel_bytes(),
                              scales_.data<float>()[column], size(column % kColumns),
                              size(inputs_));
}

}  // namespace sluice
