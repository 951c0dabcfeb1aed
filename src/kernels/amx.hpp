#pragma once
// Tiles of AMX: what products by them share. For sources of their own, that are compiled for any
// CPU.

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

// GCC's own headers pass values that are undefined on purpose.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

namespace sluice::kernels {

/// What a tile can be at most: rows, and bytes of a row.
inline constexpr std::size_t kAmxRows = 16;
inline constexpr std::size_t kAmxRowBytes = 64;
inline constexpr std::size_t kAmxTileBytes = kAmxRows * kAmxRowBytes;

/// The shapes of the eight tiles, as the processor takes them.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  /// A tile of whole lines.
  void set(std::size_t tile, std::size_t count) {
    row_bytes[tile] = kAmxRowBytes;
    rows[tile] = static_cast<std::uint8_t>(count);
  }
};
static_assert(sizeof(TileShapes) == 64);

/// GCC's intrinsics say that only the first bytes of shapes are read or written: all are, here.
inline void all_used(TileShapes& shapes) { __asm__ volatile("" : : "r"(&shapes) : "memory"); }

/// Puts back at its end what another user of tiles has set in this thread: oneDNN may remember it.
class TilesKept {
 public:
  __attribute__((target("amx-tile"))) TilesKept() {
    _tile_storeconfig(&before_);
    all_used(before_);
  }
  __attribute__((target("amx-tile"))) ~TilesKept() {
    all_used(before_);
    _tile_loadconfig(&before_);
  }
  TilesKept(const TilesKept&) = delete;
  TilesKept& operator=(const TilesKept&) = delete;

 private:
  TileShapes before_;
};

/// Whether the processor has tiles, with products of bytes and of bfloat16, and the operating
/// system gives them to this process: it is asked once.
bool has_amx_tiles();

}  // namespace sluice::kernels

#endif
