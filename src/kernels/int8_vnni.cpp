// int8_multiply by AVX-512's and AVX's byte products.
#include "int8_x86.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#include <cstring>

// GCC's own headers pass values that are undefined on purpose.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

namespace sluice::kernels {
namespace {

#define SLUICE_AVX512_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define SLUICE_AVX_VNNI __attribute__((target("avx2,avxvnni")))

int four_bytes(const std::byte* p) {
  int value = 0;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// One panel by kRows rows of a block, from `first` on. Sums of one row go to kChains registers in
// turn, so that products need not wait for each other.
template <std::size_t kRows>
SLUICE_AVX512_VNNI inline void Panel512(const Int8Product& p, const Int8Block& block,
                                        std::size_t first, std::size_t row) {
  constexpr std::size_t kChains = kRows == 1 ? 4 : kRows == 2 ? 2 : 1;
  __m512i upper[kRows][kChains];
  __m512i lower[kRows][kChains];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kChains; ++i) upper[r][i] = lower[r][i] = _mm512_setzero_si512();
  }
  const std::int8_t* panel = p.panels;
  const std::size_t to_lower = block.rows * kInt8Chunk;
  for (std::size_t k = 0; k < int8_panel_rows(p.rows.inner); k += kInt8Chunk) {
    const std::byte* const chunk = block.chunk(k) + first * kInt8Chunk;
    for (std::size_t at = 0; at < kInt8Chunk; at += 4 * kChains) {
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kChains; ++i, panel += 4 * kInt8Columns) {
        const __m512i w = _mm512_loadu_si512(panel);
        __builtin_prefetch(panel + kInt8Ahead);
#pragma GCC unroll 8
        for (std::size_t r = 0; r < kRows; ++r) {
          const std::byte* const x = chunk + r * kInt8Chunk + at + 4 * i;
          upper[r][i] = _mm512_dpbusd_epi32(upper[r][i], _mm512_set1_epi32(four_bytes(x)), w);
          lower[r][i] =
              _mm512_dpbusd_epi32(lower[r][i], _mm512_set1_epi32(four_bytes(x + to_lower)), w);
        }
      }
    }
  }
  const auto mask = static_cast<__mmask16>((1U << std::min(p.columns, kInt8Columns)) - 1);
  const __m512i offset = _mm512_slli_epi32(_mm512_loadu_si512(p.sums), 7);
  const __m512 scale = _mm512_loadu_ps(p.scales);
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (std::size_t i = 1; i < kChains; ++i) {
      upper[r][0] = _mm512_add_epi32(upper[r][0], upper[r][i]);
      lower[r][0] = _mm512_add_epi32(lower[r][0], lower[r][i]);
    }
    const __m512 high = _mm512_cvtepi32_ps(_mm512_sub_epi32(upper[r][0], offset));
    const __m512 sum =
        _mm512_add_ps(_mm512_mul_ps(high, _mm512_set1_ps(256)), _mm512_cvtepi32_ps(lower[r][0]));
    __m512 y = _mm512_mul_ps(sum, _mm512_mul_ps(_mm512_set1_ps(p.rows.scales[row + r]), scale));
    float* const to = p.c + (row + r) * p.c_pitch;
    if (p.accumulate) y = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), y);
    _mm512_mask_storeu_ps(to, mask, y);
  }
}

template <std::size_t kRows>
SLUICE_AVX_VNNI inline void Panel256(const Int8Product& p, const Int8Block& block,
                                     std::size_t first, std::size_t row) {
  constexpr std::size_t kChains = kRows == 1 ? 2 : 1;
  __m256i upper[kRows][kChains][2];
  __m256i lower[kRows][kChains][2];
#pragma GCC unroll 3
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (std::size_t i = 0; i < kChains; ++i) {
      upper[r][i][0] = upper[r][i][1] = lower[r][i][0] = lower[r][i][1] = _mm256_setzero_si256();
    }
  }
  const std::int8_t* panel = p.panels;
  const std::size_t to_lower = block.rows * kInt8Chunk;
  for (std::size_t k = 0; k < int8_panel_rows(p.rows.inner); k += kInt8Chunk) {
    const std::byte* const chunk = block.chunk(k) + first * kInt8Chunk;
    for (std::size_t at = 0; at < kInt8Chunk; at += 4 * kChains) {
#pragma GCC unroll 2
      for (std::size_t i = 0; i < kChains; ++i, panel += 4 * kInt8Columns) {
        const auto* const w = reinterpret_cast<const __m256i*>(panel);
        __builtin_prefetch(panel + kInt8Ahead);
        const __m256i half[2] = {_mm256_loadu_si256(w), _mm256_loadu_si256(w + 1)};
#pragma GCC unroll 3
        for (std::size_t r = 0; r < kRows; ++r) {
          const std::byte* const x = chunk + r * kInt8Chunk + at + 4 * i;
          const __m256i high = _mm256_set1_epi32(four_bytes(x));
          const __m256i low = _mm256_set1_epi32(four_bytes(x + to_lower));
#pragma GCC unroll 2
          for (std::size_t h = 0; h < 2; ++h) {
            upper[r][i][h] = _mm256_dpbusd_avx_epi32(upper[r][i][h], high, half[h]);
            lower[r][i][h] = _mm256_dpbusd_avx_epi32(lower[r][i][h], low, half[h]);
          }
        }
      }
    }
  }
#pragma GCC unroll 3
  for (std::size_t r = 0; r < kRows; ++r) {
    alignas(32) float y[kInt8Columns];
#pragma GCC unroll 2
    for (std::size_t h = 0; h < 2; ++h) {
      __m256i high_sum = upper[r][0][h], low_sum = lower[r][0][h];
      if constexpr (kChains > 1) {
        high_sum = _mm256_add_epi32(high_sum, upper[r][1][h]);
        low_sum = _mm256_add_epi32(low_sum, lower[r][1][h]);
      }
      const __m256i offset = _mm256_slli_epi32(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p.sums + 8 * h)), 7);
      const __m256 high = _mm256_cvtepi32_ps(_mm256_sub_epi32(high_sum, offset));
      const __m256 sum =
          _mm256_add_ps(_mm256_mul_ps(high, _mm256_set1_ps(256)), _mm256_cvtepi32_ps(low_sum));
      const __m256 scale =
          _mm256_mul_ps(_mm256_set1_ps(p.rows.scales[row + r]), _mm256_loadu_ps(p.scales + 8 * h));
      _mm256_store_ps(y + 8 * h, _mm256_mul_ps(sum, scale));
    }
    float* const to = p.c + (row + r) * p.c_pitch;
    for (std::size_t j = 0; j < std::min(p.columns, kInt8Columns); ++j) {
      to[j] = p.accumulate ? to[j] + y[j] : y[j];
    }
  }
}

// Rows [first, block.rows) of a block that begins at row `begin`, kMost at a time.
template <std::size_t kMost>
void rows512(const Int8Product& p, const Int8Block& block, std::size_t first, std::size_t begin) {
  for (; block.rows - first >= kMost; first += kMost) {
    Panel512<kMost>(p, block, first, begin + first);
  }
  if constexpr (kMost > 1) {
    if (first < block.rows) rows512<kMost - 1>(p, block, first, begin);
  }
}
template <std::size_t kMost>
void rows256(const Int8Product& p, const Int8Block& block, std::size_t first, std::size_t begin) {
  for (; block.rows - first >= kMost; first += kMost) {
    Panel256<kMost>(p, block, first, begin + first);
  }
  if constexpr (kMost > 1) {
    if (first < block.rows) rows256<kMost - 1>(p, block, first, begin);
  }
}

// Calls part(product, block, the block's first row) for all panels, each by all blocks of rows.
template <class Part>
void over_parts(Int8Product p, const Part& part) {
  for (; p.columns > 0; p = int8_next_panel(p)) {
    for (std::size_t row = 0; row < p.rows.count; row += kInt8TileRows) {
      part(p, int8_block(p.rows, row), row);
    }
  }
}

}  // namespace

bool has_avx512_vnni() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 &&
         (a >> 4U & 1U) != 0;
}

void int8_multiply_avx512_vnni(const Int8Product& p) {
  over_parts(p, [](const Int8Product& at, const Int8Block& block, std::size_t row) {
    rows512<8>(at, block, 0, row);
  });
}

void int8_multiply_avx_vnni(const Int8Product& p) {
  over_parts(p, [](const Int8Product& at, const Int8Block& block, std::size_t row) {
    rows256<3>(at, block, 0, row);
  });
}

}  // namespace sluice::kernels

#else

namespace sluice::kernels {

bool has_avx512_vnni() { return false; }
bool has_avx_vnni() { return false; }
void int8_multiply_avx512_vnni(const Int8Product&) {}
void int8_multiply_avx_vnni(const Int8Product&) {}

}  // namespace sluice::kernels

#endif
