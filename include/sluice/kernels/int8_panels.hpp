#pragma once
// Products of rows by a constant matrix of int8, laid out once in panels of columns.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// Columns of a panel; a last panel of fewer is filled up with zeros.
inline constexpr std::size_t kInt8Columns = 16;
/// Most rows K of a matrix: longer sums could overflow 32 bits.
inline constexpr std::size_t kInt8MostInner = std::size_t{1} << 16U;

/// Rows of a panel of a matrix of `inner` rows: filled up with zeros to a multiple of 64.
constexpr std::size_t int8_panel_rows(std::size_t inner) { return (inner + 63) / 64 * 64; }

/// A panel q [K, 16] of int8 with w[k, j] ≈ scales[j] · q[k, j], |q| <= 127: each column has its
/// own scale, its largest magnitude / 127, so that an element is off by no more than half of it.
/// Element (k, j) stands at (k / 4)·64 + 4·j + k % 4: four rows of a column are one 32-bit lane of
/// an instruction that multiplies bytes. sums[j] = Σ_k q[k, j].
struct Int8Panel {
  std::int8_t* elements;  ///< int8_panel_rows(inner) · kInt8Columns
  float* scales;          ///< kInt8Columns
  std::int32_t* sums;     ///< kInt8Columns
};

/// Rounds `columns` <= kInt8Columns columns of w, element (k, j) at k·row_step + j·column_step,
/// into a panel. `inner` <= kInt8MostInner. A column that holds what is not finite gets the scale
/// NaN.
struct Int8Source {
  const float* w;
  std::size_t row_step, column_step, inner, columns;
};
void int8_pack_panel(const Int8Panel& panel, const Int8Source& source);
/// Row `j` < kInt8Columns of the panel's transpose, in float32: y[k] = scales[j] · q[k, j], k <
/// inner.
void int8_unpack_column(float* y, const std::int8_t* panel, float scale, std::size_t j,
                        std::size_t inner);

/// How products by int8 panels compute.
enum class Int8Path : std::uint8_t {
  portable,     ///< widened to float32, on every SIMD target
  avx_vnni,     ///< 256-bit byte products
  avx512_vnni,  ///< 512-bit byte products
  amx,          ///< tiles for many rows, avx512_vnni for few
};
/// "portable", "avx_vnni", "avx512_vnni", "amx".
std::string_view int8_path_name(Int8Path path);
/// The ones that this CPU has, best first.
std::vector<Int8Path> int8_paths();
/// The one in use: the best, unless force_int8_path() chose another of int8_paths() (UsageError for
/// one that is not among them). Not thread-safe: force while no kernel runs and no rounded row
/// waits.
Int8Path int8_path();
void force_int8_path(Int8Path path);

/// Rows of 16 bits, each with one scale, its largest magnitude / 32767. How they are laid out is
/// the matter of the path in use; int8_rows_bytes() says how much memory they take, which must be
/// aligned to 64 bytes.
struct Int8Rows {
  std::byte* data;
  float* scales;  ///< [count]
  std::size_t count, inner;
};
constexpr std::size_t int8_rows_bytes(std::size_t count, std::size_t inner) {
  return count * 4 * int8_panel_rows(inner);
}
/// Rounds rows [first, end) of x, `pitch` apart. A row that holds what is not finite gets the scale
/// NaN.
void int8_round_rows(const Int8Rows& to, const float* x, std::size_t pitch, std::size_t first,
                     std::size_t end);

/// c[r, j] = rows.scales[r] · scales[j] · Σ_k rows[r, k] · q[k, j], or c[r, j] +=, for rounded rows
/// and panels side by side that hold `columns` columns. Paths of bytes add integers, without error,
/// and round the sum once: a row's result is the same on each of them and depends on no other row.
/// The portable one adds in float32.
struct Int8Product {
  float* c;
  std::size_t c_pitch;
  Int8Rows rows;
  const std::int8_t* panels;  ///< each int8_panel_rows(inner) · kInt8Columns
  const float* scales;
  const std::int32_t* sums;
  std::size_t columns;
  bool accumulate;
};
void int8_multiply(const Int8Product& product);

}  // namespace sluice::kernels
SLUICE_API_END
