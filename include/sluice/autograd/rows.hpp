#pragma once
// Rows of matrices: picked, placed, stacked, reshaped. float32 and float64; Error names the op and
// the shapes that do not fit.

#include <cstdint>
#include <span>
#include <vector>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Rows of `table` [V, D] picked by ids: [n, D]. Ids outside [0, V) throw Error.
Variable embedding(std::span<const std::int32_t> ids, const Variable& table);

/// Rows of x [R, C] picked by index (each within [0, R)): [n, C].
Variable gather_rows(const Variable& x, std::span<const std::int32_t> index);

/// [top; bottom]: [n, C] over [m, C].
Variable concat_rows(const Variable& top, const Variable& bottom);

/// Rows placed by index into a matrix of `rows` rows: y[part.index[i]] = part.rows[i]. Indices are
/// distinct over all parts; rows no part names are zero.
struct RowPart {
  Variable rows;
  std::vector<std::int32_t> index;
};
Variable scatter_rows(const std::vector<RowPart>& parts, std::int64_t rows);

/// x's elements under another shape.
Variable reshape(const Variable& x, Shape shape);

}  // namespace sluice
SLUICE_API_END
