// Products of some rows by AMX tiles: the matrix is read as it lies, and taken apart on the way.
#include "sluice/kernels/detail/row_tiles.hpp"

#include "amx.hpp"

#if defined(__x86_64__) && defined(__linux__)
#include <algorithm>

namespace sluice::kernels {
namespace {

#define SLUICE_TILES __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl")))
#define SLUICE_TILES_INLINE SLUICE_TILES __attribute__((always_inline)) inline

// Elements of the inner dimension that a tile's line takes, in pairs: the first of each is from the
// first half of them.
constexpr std::size_t kChunk = 32, kHalf = kChunk / 2;
// Outputs that are worked on together, in two tiles.
constexpr std::size_t kOutputs = 32;
// How far ahead of their use rows of inputs are asked for.
constexpr std::size_t kAhead = 2 * kOutputs;
// Inputs for which sums stay in tiles where the matrix's rows are inputs: more of those, a power of
// two apart as they often are, would put each other out of the nearest caches.
constexpr std::size_t kDepth = 64;

// The parts of 16 pairs of numbers.
template <std::size_t kParts>
struct Line {
  __m512i part[kParts];
};

// Upper halves of b above those of a.
SLUICE_TILES_INLINE __m512i upper_halves(__m512i a, __m512i b) {
  const __m512i places = _mm512_set4_epi32(0x00000F0E, 0x00000B0A, 0x00000706, 0x00000302);
  return _mm512_mask_shuffle_epi8(b, 0x3333333333333333ULL, a, places);
}

// Nearest number of bfloat16 in the upper half, ties away from zero; the lower half is not cleared.
SLUICE_TILES_INLINE __m512i nearest(__m512 x) {
  return _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
}
// What is left of x.
SLUICE_TILES_INLINE __m512 rest(__m512 x, __m512i near) {
  const __m512i upper = _mm512_and_si512(near, _mm512_set1_epi32(static_cast<int>(0xFFFF0000)));
  return _mm512_sub_ps(x, _mm512_castsi512_ps(upper));
}

SLUICE_TILES_INLINE Line<3> take_apart(__m512 a, __m512 b) {
  Line<3> line;
  const __m512i a0 = nearest(a), b0 = nearest(b);
  line.part[0] = upper_halves(a0, b0);
  const __m512 a_rest = rest(a, a0), b_rest = rest(b, b0);
  const __m512i a1 = nearest(a_rest), b1 = nearest(b_rest);
  line.part[1] = upper_halves(a1, b1);
  line.part[2] =
      upper_halves(_mm512_castps_si512(rest(a_rest, a1)), _mm512_castps_si512(rest(b_rest, b1)));
  return line;
}

// 16 pairs from two places; what a mask leaves out is not read, and zero.
SLUICE_TILES_INLINE Line<3> load_line(const float* a, __mmask16 in_a, const float* b,
                                      __mmask16 in_b) {
  return take_apart(_mm512_maskz_loadu_ps(in_a, a), _mm512_maskz_loadu_ps(in_b, b));
}
SLUICE_TILES_INLINE Line<1> load_line(const std::uint16_t* a, __mmask16 in_a,
                                      const std::uint16_t* b, __mmask16 in_b) {
  const __m512i lower = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(in_a, a));
  const __m512i upper = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(in_b, b));
  return {{_mm512_or_si512(lower, _mm512_slli_epi32(upper, 16))}};
}

template <class W>
constexpr std::size_t parts_of = sizeof(W) == sizeof(float) ? 3 : 1;

SLUICE_TILES_INLINE __mmask16 first_lanes(std::size_t n) {
  return n >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>((1U << n) - 1U);
}

// A chunk of x is of so many tiles for each block of rows; a block's chunks stand together.
std::size_t parts(const TileRows& rows) { return rows.three_parts ? 3 : 1; }
std::size_t chunks(const TileRows& rows) { return (rows.inner + kChunk - 1) / kChunk; }
std::byte* block_of(const TileRows& rows, std::size_t block) {
  return rows.data + block * chunks(rows) * parts(rows) * kAmxTileBytes;
}

// 16 lines of 16 pairs become 16 columns.
void transpose_tile(std::byte* tile) {
  auto* const pairs = reinterpret_cast<std::uint32_t*>(tile);
  for (std::size_t i = 0; i < kAmxRows; ++i) {
    for (std::size_t j = 0; j < i; ++j) std::swap(pairs[i * kAmxRows + j], pairs[j * kAmxRows + i]);
  }
}

template <class X>
SLUICE_TILES void split_block(const TileRows& rows, const X* x, std::size_t pitch,
                              std::size_t block) {
  constexpr std::size_t kParts = parts_of<X>;
  std::byte* to = block_of(rows, block);
  const std::size_t first = block * kTileBlock, count = std::min(kTileBlock, rows.count - first);
  for (std::size_t k = 0; k < rows.inner; k += kChunk, to += kParts * kAmxTileBytes) {
    const std::size_t left = rows.inner - k;
    const __mmask16 in_a = first_lanes(left), in_b = first_lanes(left - std::min(left, kHalf));
    for (std::size_t r = 0; r < kTileBlock; ++r) {
      const bool has = r < count;
      const X* const from = x + (first + (has ? r : 0)) * pitch + k;
      const auto line =
          load_line(from, has ? in_a : 0, from + (in_b != 0 ? kHalf : 0), has ? in_b : 0);
      for (std::size_t part = 0; part < kParts; ++part) {
        _mm512_store_si512(to + part * kAmxTileBytes + r * kAmxRowBytes, line.part[part]);
      }
    }
    for (std::size_t part = 0; part < kParts && rows.matrix == TiledRows::outputs; ++part) {
      transpose_tile(to + part * kAmxTileBytes);
    }
  }
}

// Tiles 0 to 3 are sums, of block i of rows by 16 outputs j the tile 2 i + j; 4 and 5 have parts of
// the blocks of rows, 6 and 7 of the matrix. `first` and `second` rows count where they are lines.
SLUICE_TILES void configure(TiledRows matrix, std::size_t first, std::size_t second) {
  TileShapes shapes;
  for (std::size_t tile = 0; tile < 8; ++tile) shapes.set(tile, kAmxRows);
  if (matrix == TiledRows::inputs) {
    for (const std::size_t tile : {0u, 1u, 4u}) shapes.set(tile, first);
    for (const std::size_t tile : {2u, 3u, 5u}) shapes.set(tile, std::max<std::size_t>(second, 1));
  }
  all_used(shapes);
  _tile_loadconfig(&shapes);
}

template <TiledRows kMatrix, bool kTwo>
SLUICE_TILES_INLINE void add_products() {
  if constexpr (kMatrix == TiledRows::inputs) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (kTwo) {
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  } else {
    _tile_dpbf16ps(0, 6, 4);
    _tile_dpbf16ps(1, 7, 4);
    if constexpr (kTwo) {
      _tile_dpbf16ps(2, 6, 5);
      _tile_dpbf16ps(3, 7, 5);
    }
  }
}

template <bool kTwo>
SLUICE_TILES_INLINE void load_rows(const std::byte* x, std::size_t other, std::size_t part) {
  _tile_loadd(4, x + part * kAmxTileBytes, kAmxRowBytes);
  if constexpr (kTwo) _tile_loadd(5, x + other + part * kAmxTileBytes, kAmxRowBytes);
}

// Two tiles of the matrix, taken apart.
template <std::size_t kParts>
struct alignas(64) MatrixChunk {
  std::byte tile[kParts][2][kAmxTileBytes];

  SLUICE_TILES_INLINE void put(std::size_t j, std::size_t row, const Line<kParts>& line) {
#pragma GCC unroll 3
    for (std::size_t part = 0; part < kParts; ++part) {
      _mm512_store_si512(tile[part][j] + row * kAmxRowBytes, line.part[part]);
    }
  }
  SLUICE_TILES_INLINE void load(std::size_t part) const {
    _tile_loadd(6, tile[part][0], kAmxRowBytes);
    _tile_loadd(7, tile[part][1], kAmxRowBytes);
  }
};

// Adds a chunk's products to the sums, in two halves between which other work has a place; x is the
// first block's chunk, the second's `other` bytes on.
template <TiledRows kMatrix, bool kTwo, std::size_t kParts>
SLUICE_TILES_INLINE void add_first_half(const std::byte* x, std::size_t other,
                                        const MatrixChunk<kParts>& w) {
  load_rows<kTwo>(x, other, 0);
  if constexpr (kParts == 3) {
    w.load(2);
    add_products<kMatrix, kTwo>();
    w.load(1);
    add_products<kMatrix, kTwo>();
  }
  w.load(0);
  add_products<kMatrix, kTwo>();
}
template <TiledRows kMatrix, bool kTwo, std::size_t kParts>
SLUICE_TILES_INLINE void add_second_half(const std::byte* x, std::size_t other,
                                         const MatrixChunk<kParts>& w) {
  if constexpr (kParts == 3) {
    load_rows<kTwo>(x, other, 2);
    add_products<kMatrix, kTwo>();
    load_rows<kTwo>(x, other, 1);
    add_products<kMatrix, kTwo>();
    w.load(1);
    add_products<kMatrix, kTwo>();
  }
}

// What is multiplied at once: one or two blocks of rows from `row` on, by 32 outputs from `output`
// on, of the inputs [k, k + 32); sums are kept in tiles for the inputs [begin, end).
struct Step {
  std::size_t row, output, begin, end, k;
};

// Tile j of a step's part of the matrix.
template <TiledRows kMatrix, class W>
SLUICE_TILES_INLINE void take_matrix(MatrixChunk<parts_of<W>>& to, const RowProduct<W>& p,
                                     const Step& step, std::size_t j) {
  const std::size_t inputs = p.inner - step.k, outputs = p.columns - step.output;
  const std::size_t skip = j * kAmxRows, has = outputs > skip ? outputs - skip : 0;
  if constexpr (kMatrix == TiledRows::inputs) {
    const W* const from = p.w + step.k * p.ld + step.output + (has > 0 ? skip : 0);
    const std::size_t ahead =
        kAhead < outputs ? kAhead
                         : kDepth * p.ld + kAhead - p.columns;  // at the next inputs' start
    const __mmask16 in = first_lanes(has);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kHalf; ++i) {
      const bool a = i < inputs, b = i + kHalf < inputs;
      const W* const at_a = from + (a ? i * p.ld : 0);
      const W* const at_b = from + (b ? (i + kHalf) * p.ld : 0);
      _mm_prefetch(at_a + ahead, _MM_HINT_T1);
      _mm_prefetch(at_b + ahead, _MM_HINT_T1);
      to.put(j, i, load_line(at_a, a ? in : 0, at_b, b ? in : 0));
    }
  } else {
    const __mmask16 in_a = first_lanes(inputs);
    const __mmask16 in_b = first_lanes(inputs - std::min(inputs, kHalf));
    const std::size_t ahead = kOutputs * p.ld;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kAmxRows; ++i) {
      const W* const at = p.w + (step.output + (i < has ? skip + i : 0)) * p.ld + step.k;
      _mm_prefetch(at + ahead, _MM_HINT_T1);
      _mm_prefetch(at + ahead + kHalf, _MM_HINT_T1);
      to.put(j, i,
             load_line(at, i < has ? in_a : 0, at + (in_b != 0 ? kHalf : 0), i < has ? in_b : 0));
    }
  }
}

// Puts 16 by 16 sums into y, or adds them.
SLUICE_TILES void put_sums(float* y, std::size_t pitch, const float* sums, std::size_t rows,
                           std::size_t columns, bool add) {
  const __mmask16 in = first_lanes(columns);
  for (std::size_t r = 0; r < rows; ++r, y += pitch) {
    __m512 sum = _mm512_load_ps(sums + r * kAmxRows);
    if (add) sum = _mm512_add_ps(_mm512_maskz_loadu_ps(in, y), sum);
    _mm512_mask_storeu_ps(y, in, sum);
  }
}

// Writes a step's sums, of `rows` rows.
template <TiledRows kMatrix, bool kTwo, class W>
SLUICE_TILES void end_sums(const RowProduct<W>& p, const Step& step, std::size_t rows) {
  alignas(64) float sums[4][kAmxRows * kAmxRows];
  _tile_stored(0, sums[0], kAmxRowBytes);
  _tile_stored(1, sums[1], kAmxRowBytes);
  if constexpr (kTwo) {
    _tile_stored(2, sums[2], kAmxRowBytes);
    _tile_stored(3, sums[3], kAmxRowBytes);
  }
  for (std::size_t tile = 0; tile < (kTwo ? 4 : 2); ++tile) {
    const std::size_t row = tile / 2 * kTileBlock, output = step.output + tile % 2 * kAmxRows;
    if (output >= p.columns) continue;
    if constexpr (kMatrix == TiledRows::outputs) {
      transpose_tile(reinterpret_cast<std::byte*>(sums[tile]));
    }
    put_sums(p.y + (step.row + row) * p.y_pitch + output, p.y_pitch, sums[tile],
             std::min(rows - row, kTileBlock), std::min(p.columns - output, kAmxRows),
             p.accumulate || step.begin > 0);
  }
}

template <bool kTwo>
SLUICE_TILES_INLINE void start_sums() {
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kTwo) {
    _tile_zero(2);
    _tile_zero(3);
  }
}

// All outputs by rows [row, end), in one or two blocks of the same sizes each time. While a step's
// products are under way the next one's part of the matrix is taken apart: into another place, for
// tiles cannot be loaded from what is only just being stored.
template <TiledRows kMatrix, bool kTwo, class W>
SLUICE_TILES void multiply_blocks(const RowProduct<W>& p, const TileRows& rows, std::size_t row,
                                  std::size_t end) {
  constexpr std::size_t height = kTwo ? 2 * kTileBlock : kTileBlock;
  constexpr std::size_t bytes = parts_of<W> * kAmxTileBytes;
  // Lines of a matrix of outputs are gone along.
  const std::size_t depth = kMatrix == TiledRows::inputs ? kDepth : p.inner;
  const std::size_t first = std::min(end - row, kTileBlock);
  const std::size_t count = std::min(end - row, height);
  configure(kMatrix, first, count - first);
  MatrixChunk<parts_of<W>> chunk[2];
  Step step{row, 0, 0, std::min(depth, p.inner), 0};
  take_matrix<kMatrix>(chunk[0], p, step, 0);
  take_matrix<kMatrix>(chunk[0], p, step, 1);
  start_sums<kTwo>();
  for (std::size_t turn = 0;; turn ^= 1U) {
    Step next = step;
    next.k += kChunk;
    const bool ends = next.k >= step.end;
    if (ends) {
      next.row += height;
      if (next.row >= end) {
        next.row = row;
        next.output += kOutputs;
      }
      if (next.output >= p.columns) {
        next.output = 0;
        next.begin = step.end;
        next.end = std::min(next.begin + depth, p.inner);
      }
      next.k = next.begin;
    }
    const bool more = next.begin < p.inner;
    const std::byte* const x = block_of(rows, step.row / kTileBlock) + step.k / kChunk * bytes;
    if (more) take_matrix<kMatrix>(chunk[turn ^ 1U], p, next, 0);
    add_first_half<kMatrix, kTwo>(x, chunks(rows) * bytes, chunk[turn]);
    if (more) take_matrix<kMatrix>(chunk[turn ^ 1U], p, next, 1);
    add_second_half<kMatrix, kTwo>(x, chunks(rows) * bytes, chunk[turn]);
    if (ends) {
      end_sums<kMatrix, kTwo>(p, step, count);
      start_sums<kTwo>();
    }
    if (!more) return;
    step = next;
  }
}

template <TiledRows kMatrix, class W>
void multiply_rows(const RowProduct<W>& p, const TileRows& rows) {
  const TilesKept kept;
  const std::size_t whole = rows.count / (2 * kTileBlock) * (2 * kTileBlock);
  if (whole > 0) multiply_blocks<kMatrix, true>(p, rows, 0, whole);
  if (rows.count - whole > kTileBlock) {
    multiply_blocks<kMatrix, true>(p, rows, whole, rows.count);
  } else if (rows.count > whole) {
    multiply_blocks<kMatrix, false>(p, rows, whole, rows.count);
  }
}

template <class W>
void multiply(const RowProduct<W>& p, const TileRows& rows) {
  if (p.inner == 0) {
    for (std::size_t r = 0; r < rows.count && !p.accumulate; ++r) {
      std::fill_n(p.y + r * p.y_pitch, p.columns, 0.0F);
    }
    return;
  }
  if (rows.matrix == TiledRows::inputs) {
    multiply_rows<TiledRows::inputs>(p, rows);
  } else {
    multiply_rows<TiledRows::outputs>(p, rows);
  }
}

}  // namespace

bool has_row_tiles() {
  static const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && has_amx_tiles();
  return has;
}

std::size_t tile_rows_bytes(const TileRows& rows) {
  return (rows.count + kTileBlock - 1) / kTileBlock * chunks(rows) * parts(rows) * kAmxTileBytes;
}

void split_tile_rows(const TileRows& rows, const float* x, std::size_t x_pitch, std::size_t block) {
  split_block(rows, x, x_pitch, block);
}
void split_tile_rows(const TileRows& rows, const std::uint16_t* x, std::size_t x_pitch,
                     std::size_t block) {
  split_block(rows, x, x_pitch, block);
}
void multiply_tiles(const RowProduct<float>& product, const TileRows& rows) {
  multiply(product, rows);
}
void multiply_tiles(const RowProduct<std::uint16_t>& product, const TileRows& rows) {
  multiply(product, rows);
}

}  // namespace sluice::kernels

#else

namespace sluice::kernels {

bool has_row_tiles() { return false; }
std::size_t tile_rows_bytes(const TileRows&) { return 0; }
void split_tile_rows(const TileRows&, const float*, std::size_t, std::size_t) {}
void split_tile_rows(const TileRows&, const std::uint16_t*, std::size_t, std::size_t) {}
void multiply_tiles(const RowProduct<float>&, const TileRows&) {}
void multiply_tiles(const RowProduct<std::uint16_t>&, const TileRows&) {}

}  // namespace sluice::kernels

#endif
