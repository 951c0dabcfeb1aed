#pragma once
// Products by int8 panels with instructions that Highway has no name for.

#include <algorithm>
#include <cstddef>

#include "sluice/kernels/int8_panels.hpp"

namespace sluice::kernels {

/// Whether this CPU, and the operating system, have a path's instructions.
bool has_avx_vnni();
bool has_avx512_vnni();
bool has_amx_int8();

/// Rows of a tile.
inline constexpr std::size_t kInt8TileRows = 16;
/// Elements of a row that stand together.
inline constexpr std::size_t kInt8Chunk = 64;

/// How far ahead of their use panels are asked for: the processor's own guesses stop at each page.
inline constexpr std::size_t kInt8Ahead = 2048;

/// Rounded rows as the paths of bytes want them: of x + 32768 the upper and the lower bytes, so
/// that Σ x·q = 256 · (Σ upper·q - 128 Σ q) + Σ lower·q. In blocks of 16 rows (the last of fewer),
/// each by chunks of 64 elements: the upper bytes of the block's rows, one after another, then the
/// lower ones, as tiles are loaded.
struct Int8Block {
  const std::byte* data;
  std::size_t rows;

  /// Upper bytes of the first row's chunk that begins at element k; the lower ones are
  /// `rows` chunks behind.
  const std::byte* chunk(std::size_t k) const { return data + 2 * rows * k; }
};
inline Int8Block int8_block(const Int8Rows& rows, std::size_t first) {
  return {rows.data + first * 2 * int8_panel_rows(rows.inner),
          std::min(kInt8TileRows, rows.count - first)};
}

/// The product by the panel behind p's first.
inline Int8Product int8_next_panel(Int8Product p) {
  p.c += kInt8Columns;
  p.panels += int8_panel_rows(p.rows.inner) * kInt8Columns;
  p.scales += kInt8Columns;
  p.sums += kInt8Columns;
  p.columns -= std::min(p.columns, kInt8Columns);
  return p;
}

void int8_multiply_avx_vnni(const Int8Product& p);
void int8_multiply_avx512_vnni(const Int8Product& p);
void int8_multiply_amx(const Int8Product& p);

}  // namespace sluice::kernels
