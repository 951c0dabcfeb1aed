#include "sparse_rows.hpp"

#include <algorithm>

#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {

SparseRows sum_rows(std::span<const std::int32_t> ids, const Tensor& rows, double* squares) {
  const ProfileScope profile("embedding", 0, 2 * static_cast<double>(rows.bytes()));
  // Id and position in one key: ids ascend, and each id's occurrences keep their order.
  std::vector<std::uint64_t> order(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    order[i] = static_cast<std::uint64_t>(ids[i]) << 32U | i;
  }
  std::ranges::sort(order);
  SparseRows out;
  std::vector<std::size_t> begins;  // of each distinct id in `order`, and the end
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto id = static_cast<std::int32_t>(order[i] >> 32U);
    if (!out.ids.empty() && out.ids.back() == id) continue;
    out.ids.push_back(id);
    begins.push_back(i);
  }
  begins.push_back(order.size());

  const auto n = static_cast<std::int64_t>(out.ids.size());
  const std::int64_t columns = rows.dim(1);
  out.rows = Tensor(Shape{n, columns}, rows.dtype());
  std::vector<double> row_squares(squares != nullptr ? out.ids.size() : 0);
  dispatch_float(rows.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto width = static_cast<std::size_t>(columns);
    parallel_for(n, row_grain(columns), [&](std::int64_t begin, std::int64_t end) {
      for (auto r = static_cast<std::size_t>(begin); r < static_cast<std::size_t>(end); ++r) {
        T* sum = out.rows.data<T>() + r * width;
        // From zero, as a tensor of zeros would be added to: no -0 is left that it would not have.
        std::fill_n(sum, width, T{0});
        for (std::size_t i = begins[r]; i < begins[r + 1]; ++i) {
          const std::size_t from = order[i] & 0xFFFFFFFFU;
          kernels::add_scaled(sum, rows.data<T>() + from * width, T{1}, width);
        }
        if (squares != nullptr) row_squares[r] = kernels::sum_of_squares(sum, width);
      }
    });
  });
  if (squares != nullptr) {
    *squares = 0;
    for (const double part : row_squares) *squares += part;
  }
  return out;
}

SparseRows merge_rows(const SparseRows& a, const SparseRows& b) {
  const std::int64_t n = a.rows.dim(0), m = b.rows.dim(0);
  std::vector<std::int32_t> ids = a.ids;
  ids.insert(ids.end(), b.ids.begin(), b.ids.end());
  const Tensor rows(Shape{n + m, a.rows.dim(1)}, a.rows.dtype());
  rows.rows(0, n).copy_from(a.rows);
  rows.rows(n, n + m).copy_from(b.rows);
  return sum_rows(ids, rows);
}

void add_rows(const Tensor& table, const SparseRows& g) {
  const ProfileScope profile("embedding", 0, 3 * static_cast<double>(g.rows.bytes()));
  const std::int64_t columns = table.dim(1);
  dispatch_float(table.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_for(g.rows.dim(0), row_grain(columns), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        kernels::add_scaled(table.data<T>() + g.ids[static_cast<std::size_t>(i)] * columns,
                            g.rows.data<T>() + i * columns, T{1},
                            static_cast<std::size_t>(columns));
      }
    });
  });
}

}  // namespace sluice
