// int8_multiply by AMX tiles, for more than a few rows.
#include "int8_x86.hpp"

#if defined(__x86_64__) && defined(__linux__)
#include <algorithm>

#include "amx.hpp"

namespace sluice::kernels {
namespace {

#define SLUICE_AMX __attribute__((target("amx-tile,amx-int8,avx512f,avx512bw,avx512vl")))

// Fewer rows are left to byte products.
constexpr std::size_t kFewRows = 3;
constexpr std::size_t kTileRows = kInt8TileRows;
static_assert(kTileRows == kAmxRows);

// Tiles 0 and 1 are the sums of the upper and lower halves of `first` rows, 2 and 3 those of
// `second` more, 4 a part of a panel, 5 and 6 parts of rows of the first, 7 of the others.
SLUICE_AMX void configure(std::size_t first, std::size_t second) {
  TileShapes shapes;
  for (std::size_t tile = 0; tile < 8; ++tile) {
    const std::size_t rows = tile == 4 ? kTileRows
                             : tile == 2 || tile == 3 || tile == 7
                                 ? std::max<std::size_t>(second, 1)
                                 : first;
    shapes.set(tile, rows);
  }
  all_used(shapes);
  _tile_loadconfig(&shapes);
}

// Results of `count` rows from `row` on, from their sums.
SLUICE_AMX void finish(const Int8Product& p, const std::int32_t* upper, const std::int32_t* lower,
                       std::size_t row, std::size_t count) {
  const auto mask = static_cast<__mmask16>((1U << std::min(p.columns, kInt8Columns)) - 1);
  const __m512i offset = _mm512_slli_epi32(_mm512_loadu_si512(p.sums), 7);
  const __m512 scale = _mm512_loadu_ps(p.scales);
  for (std::size_t r = 0; r < count; ++r) {
    const __m512i high = _mm512_load_si512(upper + r * kInt8Columns);
    const __m512i low = _mm512_load_si512(lower + r * kInt8Columns);
    const __m512 wide =
        _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(high, offset)), _mm512_set1_ps(256));
    const __m512 sum = _mm512_add_ps(wide, _mm512_cvtepi32_ps(low));
    __m512 y = _mm512_mul_ps(sum, _mm512_mul_ps(_mm512_set1_ps(p.rows.scales[row + r]), scale));
    float* const to = p.c + (row + r) * p.c_pitch;
    if (p.accumulate) y = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), y);
    _mm512_mask_storeu_ps(to, mask, y);
  }
}

// One panel by the block of rows that begins at `row`, and the next block too if kTwo.
template <bool kTwo>
SLUICE_AMX void tile_rows(const Int8Product& p, std::size_t row) {
  alignas(64) std::int32_t sums[4][kTileRows * kInt8Columns];
  const Int8Block block = int8_block(p.rows, row);
  const Int8Block more = kTwo ? int8_block(p.rows, row + kTileRows) : Int8Block{};
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kTwo) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (std::size_t k = 0; k < int8_panel_rows(p.rows.inner); k += kInt8Chunk) {
    const std::byte* const x = block.chunk(k);
#pragma GCC unroll 16
    for (std::size_t line = 0; line < kInt8Chunk * kInt8Columns; line += 64) {
      __builtin_prefetch(p.panels + k * kInt8Columns + kInt8Ahead + line);
    }
    _tile_loadd(4, p.panels + k * kInt8Columns, 64);
    _tile_loadd(5, x, kInt8Chunk);
    _tile_dpbusd(0, 5, 4);
    _tile_loadd(6, x + block.rows * kInt8Chunk, kInt8Chunk);
    _tile_dpbusd(1, 6, 4);
    if constexpr (kTwo) {
      const std::byte* const other = more.chunk(k);
      _tile_loadd(7, other, kInt8Chunk);
      _tile_dpbusd(2, 7, 4);
      _tile_loadd(7, other + more.rows * kInt8Chunk, kInt8Chunk);
      _tile_dpbusd(3, 7, 4);
    }
  }
  _tile_stored(0, sums[0], 64);
  _tile_stored(1, sums[1], 64);
  finish(p, sums[0], sums[1], row, block.rows);
  if constexpr (kTwo) {
    _tile_stored(2, sums[2], 64);
    _tile_stored(3, sums[3], 64);
    finish(p, sums[2], sums[3], row + kTileRows, more.rows);
  }
}

// All panels, each by rows [0, end), a multiple of 32.
SLUICE_AMX void full_blocks(Int8Product p, std::size_t end) {
  configure(kTileRows, kTileRows);
  for (; p.columns > 0; p = int8_next_panel(p)) {
    for (std::size_t row = 0; row < end; row += 2 * kTileRows) tile_rows<true>(p, row);
  }
}

// All panels, each by the rows from `row` on, fewer than 32.
SLUICE_AMX void last_rows(Int8Product p, std::size_t row) {
  const std::size_t count = p.rows.count - row, first = std::min(count, kTileRows);
  configure(first, count - first);
  for (; p.columns > 0; p = int8_next_panel(p)) {
    if (count > first) {
      tile_rows<true>(p, row);
    } else {
      tile_rows<false>(p, row);
    }
  }
}

}  // namespace

bool has_amx_int8() { return has_avx512_vnni() && has_amx_tiles(); }

void int8_multiply_amx(const Int8Product& p) {
  if (p.rows.count < kFewRows) {
    int8_multiply_avx512_vnni(p);
    return;
  }
  const TilesKept kept;
  const std::size_t full = p.rows.count / (2 * kTileRows) * (2 * kTileRows);
  if (full > 0) full_blocks(p, full);
  if (full < p.rows.count) last_rows(p, full);
}

}  // namespace sluice::kernels

#else

namespace sluice::kernels {

bool has_amx_int8() { return false; }
void int8_multiply_amx(const Int8Product&) {}

}  // namespace sluice::kernels

#endif
