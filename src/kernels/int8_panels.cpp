// Rounding to int8 panels and 16-bit rows, and products of them.
#include "sluice/kernels/int8_panels.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "int8_x86.hpp"
#include "sluice/base/error.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "int8_panels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

// Largest magnitude of x, NaN when an element is not finite.
float LargestMagnitude(const float* x, std::size_t n) {
  const hn::ScalableTag<float> d;
  auto largest = hn::Zero(d);
  auto poison = hn::Zero(d);  // x · 0: NaN where x is not finite
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    const auto value = span.Load(d, x + i);
    largest = hn::Max(largest, hn::Abs(value));
    poison = hn::Add(poison, hn::Mul(value, hn::Zero(d)));
  });
  const float poisoned = hn::GetLane(hn::SumOfLanes(d, poison));
  return poisoned == 0.0F ? hn::GetLane(hn::MaxOfLanes(d, largest)) : poisoned;
}

// To integers of up to 16 bits: as they are in float32, or offset to 0 .. 65535 as two rows of
// bytes.
void RoundWide(float* to, const float* x, float factor, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto by = hn::Set(d, factor);
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    span.Store(hn::Round(hn::Mul(by, span.Load(d, x + i))), d, to + i);
  });
}
void RoundBytes(std::uint8_t* upper, std::uint8_t* lower, const float* x, float factor,
                std::size_t n) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<std::uint8_t, decltype(d)> d8;
  const auto by = hn::Set(d, factor);
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    const auto rounded = hn::ConvertTo(di, hn::Round(hn::Mul(by, span.Load(d, x + i))));
    const auto offset = hn::Add(rounded, hn::Set(di, 32768));
    span.Store(hn::DemoteTo(d8, hn::ShiftRight<8>(offset)), d8, upper + i);
    span.Store(hn::DemoteTo(d8, hn::And(offset, hn::Set(di, 255))), d8, lower + i);
  });
}
void RoundChunks(std::byte* to, std::size_t pitch, const float* x, float factor, std::size_t n) {
  for (std::size_t k = 0; k < n; k += kInt8Chunk, to += 2 * pitch) {
    auto* const upper = reinterpret_cast<std::uint8_t*>(to);
    const std::size_t count = std::min(kInt8Chunk, n - k);
    RoundBytes(upper, upper + pitch, x + k, factor, count);
    std::memset(upper + count, 0, kInt8Chunk - count);
    std::memset(upper + pitch + count, 0, kInt8Chunk - count);
  }
}

// Lanes of float32 that a part of a panel of four rows fills, and the sums of one row that a pass
// keeps in registers.
constexpr std::size_t kGroup = 4 * kInt8Columns;

// Four elements of a row over and over, as `vector` vectors of lanes behind lane 0 meet them.
template <class D>
HWY_INLINE hn::Vec<D> FourRepeated(D d, const float* x, [[maybe_unused]] std::size_t vector) {
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(d, x[vector % 4]);
#else
  return hn::LoadDup128(d, x);
#endif
}

// kRows rows from `row` on by kVectors vectors of four rows by some columns, from `first` on.
template <std::size_t kRows, std::size_t kVectors>
HWY_INLINE void MultiplyPart(const Int8Product& p, std::size_t row, std::size_t first,
                             float* sums) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<std::int8_t, decltype(d)> d8;
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<decltype(d)> sum[kRows][kVectors];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
  }
  const std::size_t depth = int8_panel_rows(p.rows.inner);
  const float* rows[kRows];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kRows; ++r) {
    rows[r] = reinterpret_cast<const float*>(p.rows.data) + (row + r) * depth;
  }
  for (std::size_t k = 0; k < depth; k += 4) {
    const std::int8_t* const panel = p.panels + first * lanes + k * kInt8Columns;
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      const auto w = hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, panel + v * lanes)));
#pragma GCC unroll 4
      for (std::size_t r = 0; r < kRows; ++r) {
        sum[r][v] = hn::MulAdd(FourRepeated(d, rows[r] + k, first + v), w, sum[r][v]);
      }
    }
  }
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[r][v], d, sums + r * kGroup + (first + v) * lanes);
    }
  }
}

template <std::size_t kRows>
void MultiplyRows(const Int8Product& p, std::size_t row) {
  // No target here has vectors of a size unknown (targets.hpp): these are all lanes.
  constexpr std::size_t kAll = kGroup / hn::MaxLanes(hn::ScalableTag<float>());
  constexpr std::size_t kVectors = std::min<std::size_t>(8 / kRows, kAll);
  for (; p.rows.count - row >= kRows; row += kRows) {
    float sums[kRows * kGroup];
    for (std::size_t part = 0; part < kAll / kVectors; ++part) {
      MultiplyPart<kRows, kVectors>(p, row, part * kVectors, sums);
    }
    for (std::size_t r = 0; r < kRows; ++r) {
      for (std::size_t j = 0; j < std::min(p.columns, kInt8Columns); ++j) {
        const float* const four = sums + r * kGroup + 4 * j;
        const float sum = (four[0] + four[1]) + (four[2] + four[3]);
        float& c = p.c[(row + r) * p.c_pitch + j];
        const float y = sum * (p.rows.scales[row + r] * p.scales[j]);
        c = p.accumulate ? c + y : y;
      }
    }
  }
  if constexpr (kRows > 1) {
    if (row < p.rows.count) MultiplyRows<kRows / 2>(p, row);
  }
}

void Int8Portable(const Int8Product& product) {
  for (Int8Product p = product; p.columns > 0; p = int8_next_panel(p)) MultiplyRows<4>(p, 0);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(LargestMagnitude);
HWY_EXPORT(RoundWide);
HWY_EXPORT(RoundChunks);
HWY_EXPORT(Int8Portable);

constexpr float kMostByte = 127, kMostRow = 32767;
// Below, scales and their inverses would leave float32's range: taken for zeros.
constexpr float kLeastMagnitude = 1e-30F;

Int8Path& path_in_use() {
  static Int8Path path = int8_paths().front();
  return path;
}

}  // namespace

void int8_pack_panel(const Int8Panel& panel, const Int8Source& source) {
  const std::size_t depth = int8_panel_rows(source.inner);
  std::fill_n(panel.elements, depth * kInt8Columns, std::int8_t{0});
  for (std::size_t j = 0; j < kInt8Columns; ++j) {
    panel.scales[j] = 0;
    panel.sums[j] = 0;
    if (j >= source.columns) continue;
    const float* const w = source.w + j * source.column_step;
    float largest = 0, poison = 0;
    for (std::size_t k = 0; k < source.inner; ++k) {
      const float value = w[k * source.row_step];
      largest = std::max(largest, std::fabs(value));
      poison += value * 0.0F;
    }
    if (poison != 0.0F) largest = std::numeric_limits<float>::quiet_NaN();
    panel.scales[j] = largest < kLeastMagnitude ? 0 : largest / kMostByte;
    if (!(largest >= kLeastMagnitude)) continue;
    for (std::size_t k = 0; k < source.inner; ++k) {
      const float scaled = w[k * source.row_step] * (kMostByte / largest);
      const auto q = static_cast<std::int8_t>(std::lrint(scaled));
      panel.elements[k / 4 * 4 * kInt8Columns + 4 * j + k % 4] = q;
      panel.sums[j] += q;
    }
  }
}

void int8_unpack_column(float* y, const std::int8_t* panel, float scale, std::size_t j,
                        std::size_t inner) {
  for (std::size_t k = 0; k < inner; ++k) {
    const std::size_t at = k / 4 * 4 * kInt8Columns + 4 * j + k % 4;
    y[k] = scale * static_cast<float>(panel[at]);
  }
}

std::string_view int8_path_name(Int8Path path) {
  switch (path) {
    case Int8Path::avx_vnni:
      return "avx_vnni";
    case Int8Path::avx512_vnni:
      return "avx512_vnni";
    case Int8Path::amx:
      return "amx";
    case Int8Path::portable:
      break;
  }
  return "portable";
}

std::vector<Int8Path> int8_paths() {
  std::vector<Int8Path> paths;
  if (has_amx_int8()) paths.push_back(Int8Path::amx);
  if (has_avx512_vnni()) paths.push_back(Int8Path::avx512_vnni);
  if (has_avx_vnni()) paths.push_back(Int8Path::avx_vnni);
  paths.push_back(Int8Path::portable);
  return paths;
}

Int8Path int8_path() { return path_in_use(); }

void force_int8_path(Int8Path path) {
  const std::vector<Int8Path> known = int8_paths();
  if (std::find(known.begin(), known.end(), path) == known.end()) {
    throw UsageError("force_int8_path: this CPU has no " + std::string(int8_path_name(path)) +
                     "; take one from int8_paths().");
  }
  path_in_use() = path;
}

void int8_round_rows(const Int8Rows& to, const float* x, std::size_t pitch, std::size_t first,
                     std::size_t end) {
  const std::size_t depth = int8_panel_rows(to.inner);
  for (std::size_t r = first; r < end; ++r) {
    const float* const from = x + r * pitch;
    const float largest = HWY_DYNAMIC_DISPATCH(LargestMagnitude)(from, to.inner);
    to.scales[r] = largest < kLeastMagnitude ? 0 : largest / kMostRow;
    const float factor = largest >= kLeastMagnitude ? kMostRow / largest : 0;
    if (int8_path() == Int8Path::portable) {
      float* const row = reinterpret_cast<float*>(to.data) + r * depth;
      HWY_DYNAMIC_DISPATCH(RoundWide)(row, from, factor, to.inner);
      std::fill(row + to.inner, row + depth, 0.0F);
    } else {
      const std::size_t in_block = r % kInt8TileRows, begin = r - in_block;
      const std::size_t rows = std::min(kInt8TileRows, to.count - begin);
      HWY_DYNAMIC_DISPATCH(RoundChunks)
      (to.data + begin * 2 * depth + in_block * kInt8Chunk, rows * kInt8Chunk, from, factor,
       to.inner);
    }
  }
}

void int8_multiply(const Int8Product& product) {
  switch (int8_path()) {
    case Int8Path::avx_vnni:
      return int8_multiply_avx_vnni(product);
    case Int8Path::avx512_vnni:
      return int8_multiply_avx512_vnni(product);
    case Int8Path::amx:
      return int8_multiply_amx(product);
    case Int8Path::portable:
      break;
  }
  HWY_DYNAMIC_DISPATCH(Int8Portable)(product);
}

}  // namespace sluice::kernels
#endif
