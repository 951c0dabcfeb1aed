#pragma once
// Some rows by a constant matrix as it lies in memory, by tiles of bfloat16 (Intel's AMX).

#include <cstddef>
#include <cstdint>

#include "sluice/kernels/detail/row_product.hpp"

namespace sluice::kernels {

/// Whether this processor has tiles; without, nothing below may be called but this.
bool has_row_tiles();

/// Which way the matrix lies that rows are multiplied by.
enum class TiledRows : std::uint8_t {
  inputs,   ///< as multiply_by_inputs() takes it
  outputs,  ///< as multiply_by_outputs() takes it
};

/// Rows x [count, inner] as products by tiles read them. A float32 is the sum of three numbers of
/// bfloat16, exactly but for what is below 2^-126 of any.
struct TileRows {
  std::byte* data;  ///< 64-byte aligned, tile_rows_bytes() of them
  std::size_t count, inner;
  TiledRows matrix;  ///< how the matrix lies that they are for
  bool three_parts;  ///< of float32, as the matrix; else both are of bfloat16
};
std::size_t tile_rows_bytes(const TileRows& rows);

/// Rows are written in blocks of so many, which any number of threads may do.
inline constexpr std::size_t kTileBlock = 16;
/// Writes block `block` of x, of the type that `rows` says, its rows x_pitch apart.
void split_tile_rows(const TileRows& rows, const float* x, std::size_t x_pitch, std::size_t block);
void split_tile_rows(const TileRows& rows, const std::uint16_t* x, std::size_t x_pitch,
                     std::size_t block);

/// y = x · w, or +=, for any number of rows: of `product` all but x holds, and w and columns are as
/// multiply_by_inputs() or multiply_by_outputs() has them. Each product of float32 is the sum of
/// those of the numbers' parts but for the three smallest, so that against exact sums the error is
/// at most (3/16 · inner + 28) · 2^-24 · Σ |x · w|, of bfloat16 (inner / 32 + 28) · 2^-24 · Σ |x ·
/// w|, where that is above 2^-100 (tiles take denormal numbers for zeros). A row's result depends
/// neither on the others nor on how columns are split over several calls. Where x or w is not
/// finite, y is NaN.
void multiply_tiles(const RowProduct<float>& product, const TileRows& rows);
void multiply_tiles(const RowProduct<std::uint16_t>& product, const TileRows& rows);

}  // namespace sluice::kernels
