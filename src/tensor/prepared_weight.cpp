#include "sluice/tensor/prepared_weight.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"
#include "sluice/kernels/detail/row_product.hpp"
#include "sluice/kernels/detail/row_tiles.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/rows.hpp"

namespace sluice {
namespace {

/// Rows of `x` rounded to bfloat16, one after another.
Tensor rounded(const MatrixView& x) {
  const ProfileScope profile("to bfloat16", 0, 6.0 * static_cast<double>(x.rows * x.columns));
  Tensor out(Shape{x.rows, x.columns}, DType::bf16);
  const auto* const from = static_cast<const float*>(x.data);
  parallel_for(x.rows, row_grain(x.columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      kernels::to_bfloat16(out.data<std::uint16_t>() + r * x.columns, from + r * x.ld,
                           static_cast<std::size_t>(x.columns));
    }
  });
  return out;
}

/// Multiply-adds worth a thread of their own.
constexpr std::int64_t kProductGrain = std::int64_t{1} << 17;

/// Rows up to which our own products are faster than oneDNN's, which copies W first: with more,
/// what that computes faster counts for more.
constexpr std::int64_t kFewRows = 4;
/// The same where there are tiles for them, which take the matrix apart anew for every 32 rows.
constexpr std::int64_t kTiledRows = 32;

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

/// What a product by W needs of x [R, C] and y.
template <class W>
struct Work {
  float* y;
  std::int64_t ldy;
  MatrixView x, w;
  bool accumulate;

  const char* name(const char* of_float, const char* of_bfloat16) const {
    return sizeof(W) == sizeof(float) ? of_float : of_bfloat16;
  }
  double flop() const { return 2 * static_cast<double>(x.rows * w.rows * w.columns); }
  double bytes() const {
    return static_cast<double>(w.rows * w.columns) * sizeof(W) +
           4 * static_cast<double>(x.rows * (w.rows + w.columns));
  }
  /// Hands parts of the outputs to threads: multiply(product of some).
  template <class Multiply>
  void over_outputs(const Multiply& multiply) const {
    // Whole cache lines of y, and of w where its rows are inputs.
    constexpr std::int64_t unit = 64;
    const std::int64_t each = std::max<std::int64_t>(1, x.rows * w.rows * unit);
    parallel_for((w.columns + unit - 1) / unit, std::max<std::int64_t>(1, kProductGrain / each),
                 [&](std::int64_t begin, std::int64_t end) {
                   const std::int64_t first = begin * unit;
                   const MatrixView part =
                       w.column_range(first, std::min(end * unit, w.columns) - first);
                   multiply(kernels::RowProduct<W>{
                       y + first, size(ldy), static_cast<const float*>(x.data), size(x.ld),
                       static_cast<const W*>(part.data), size(part.ld), size(part.rows),
                       size(part.columns), accumulate});
                 });
  }
};

/// y = x · W, or +=, for few rows x of float32 by a matrix as it lies in memory.
template <class W>
void multiply_few(const Work<W>& work) {
  const ProfileScope profile(work.name("product of rows", "product of rows bf16"), work.flop(),
                             work.bytes());
  work.over_outputs([&](const kernels::RowProduct<W>& product) {
    if (work.w.transposed) {
      kernels::multiply_by_outputs(product, size(work.x.rows));
    } else {
      kernels::multiply_by_inputs(product, size(work.x.rows));
    }
  });
}

/// The same by tiles, for some rows x of W's type.
template <class W>
void multiply_tiled(const Work<W>& work) {
  const MatrixView& x = work.x;
  const ProfileScope profile(work.name("product of tiles", "product of tiles bf16"), work.flop(),
                             work.bytes());
  kernels::TileRows rows{
      nullptr, size(x.rows), size(x.columns),
      work.w.transposed ? kernels::TiledRows::outputs : kernels::TiledRows::inputs,
      sizeof(W) == sizeof(float)};
  const Tensor split(Shape{static_cast<std::int64_t>(kernels::tile_rows_bytes(rows))}, DType::i8);
  rows.data = static_cast<std::byte*>(split.raw());
  const auto blocks =
      static_cast<std::int64_t>((rows.count + kernels::kTileBlock - 1) / kernels::kTileBlock);
  parallel_for(blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      kernels::split_tile_rows(rows, static_cast<const W*>(x.data), size(x.ld), size(block));
    }
  });
  work.over_outputs(
      [&](const kernels::RowProduct<W>& product) { kernels::multiply_tiles(product, rows); });
}

/// Rows of bfloat16 as float32.
Tensor widened(const MatrixView& x) {
  Tensor out(Shape{x.rows, x.columns});
  for (std::int64_t r = 0; r < x.rows; ++r) {
    kernels::from_bfloat16(out.data<float>() + r * x.columns,
                           static_cast<const std::uint16_t*>(x.data) + r * x.ld,
                           static_cast<std::size_t>(x.columns));
  }
  return out;
}

}  // namespace

PreparedWeight::PreparedWeight(const Tensor& w, WeightLayout layout, const FreezeOptions& options)
    : layout_(layout) {
  if (!w.defined() || w.dtype() != DType::f32 || w.shape().rank() != 2) {
    throw Error(fmt::format("prepared weight: expected a float32 matrix, got {}{}",
                            w.defined() ? dtype_name(w.dtype()) : "nothing",
                            w.defined() ? " " + w.shape().str() : ""));
  }
  switch (options.precision) {
    case WeightPrecision::f32:
      data_ = frozen_tensor(w, options);
      break;
    case WeightPrecision::bf16:
      data_ = frozen_part(options, w.shape(), DType::bf16, [&] { return rounded(matrix(w)); });
      break;
    case WeightPrecision::int8:
      int8_ = {layout == WeightLayout::outputs_by_inputs ? transpose(matrix(w)) : matrix(w),
               options};
      layout_ = WeightLayout::outputs_by_inputs;
      break;
  }
}

std::pair<PreparedWeight, PreparedWeight> PreparedWeight::both_ways(const Tensor& w,
                                                                    const FreezeOptions& options) {
  PreparedWeight first(w, WeightLayout::outputs_by_inputs, options);
  if (first.int8_.defined()) {
    return {first, PreparedWeight(w, WeightLayout::inputs_by_outputs, options)};
  }
  PreparedWeight second = first;
  second.layout_ = WeightLayout::inputs_by_outputs;
  return {std::move(first), std::move(second)};
}

void PreparedWeight::product(float* y, std::int64_t ldy, const MatrixView& x,
                             bool accumulate) const {
  if (x.columns != inputs() || x.transposed) {
    throw Error(fmt::format("prepared weight: rows of {} do not fit a matrix [{}, {}]", x.columns,
                            inputs(), outputs()));
  }
  if (int8_.defined()) {
    int8_.product(y, ldy, x, accumulate);
    return;
  }
  const MatrixView w =
      layout_ == WeightLayout::outputs_by_inputs ? transpose(matrix(data_)) : matrix(data_);
  const bool few = x.rows <= kFewRows;
  const bool tiled = !few && x.rows <= kTiledRows && kernels::has_row_tiles();
  if (operand() == DType::f32 && (few || tiled)) {
    const Work<float> work{y, ldy, x, w, accumulate};
    few ? multiply_few(work) : multiply_tiled(work);
    return;
  }
  const Tensor kept = x.dtype == operand() ? Tensor() : rounded(x);
  const MatrixView operand_rows = kept.defined() ? matrix(kept) : x;
  if (few) {
    const Tensor wide = widened(operand_rows);
    multiply_few(Work<std::uint16_t>{y, ldy, matrix(wide), w, accumulate});
  } else if (tiled) {
    multiply_tiled(Work<std::uint16_t>{y, ldy, operand_rows, w, accumulate});
  } else {
    gemm(y, ldy, operand_rows, w, accumulate);
  }
}

Tensor PreparedWeight::product(const Tensor& x) const {
  Tensor y(Shape{x.dim(0), outputs()});
  product(y.data<float>(), outputs(), matrix(x));
  return y;
}

void PreparedWeight::product_into(const Tensor& y, std::int64_t first, const Tensor& x) const {
  const Shape& shape = y.shape();
  if (shape.rank() != 2 || shape[0] != x.dim(0) || first < 0 || first + outputs() > shape[1]) {
    throw Error(fmt::format("prepared weight: {} rows of {} do not fit into {} from column {} on",
                            x.dim(0), outputs(), shape.str(), first));
  }
  product(y.data<float>() + first, shape[1], matrix(x));
}

Tensor PreparedWeight::pick(std::span<const std::int32_t> index, const char* what) const {
  if (data_.defined() && data_.dtype() == DType::f32) return pick_rows(data_, index, what);
  for (const std::int32_t i : index) {
    if (i < 0 || i >= outputs()) {
      throw Error(fmt::format("{}: index {} is outside a table of {} rows", what, i, outputs()));
    }
  }
  Tensor out(Shape{static_cast<std::int64_t>(index.size()), inputs()});
  const ProfileScope profile("embedding", 0, 1.5 * static_cast<double>(out.bytes()));
  parallel_for(out.dim(0), row_grain(inputs()), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      float* const to = out.data<float>() + r * inputs();
      const std::int64_t i = index[static_cast<std::size_t>(r)];
      if (int8_.defined()) {
        int8_.column(to, i);
      } else {
        kernels::from_bfloat16(to, data_.data<std::uint16_t>() + i * inputs(),
                               static_cast<std::size_t>(inputs()));
      }
    }
  });
  return out;
}

}  // namespace sluice
