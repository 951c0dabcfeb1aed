#pragma once
// Sums over few rows of a table, the gradient of picking rows by index. Every row is summed by one
// thread in order of occurrence: results do not depend on the number of threads.

#include <cstdint>
#include <span>

#include "sluice/autograd/variable.hpp"

namespace sluice {

/// Rows [n, D] summed by id (0 <= id). When `squares` is given, it receives the sum of the squares
/// of the sums.
SparseRows sum_rows(std::span<const std::int32_t> ids, const Tensor& rows,
                    double* squares = nullptr);

/// a + b.
SparseRows merge_rows(const SparseRows& a, const SparseRows& b);

/// table[ids[i]] += rows[i].
void add_rows(const Tensor& table, const SparseRows& g);

}  // namespace sluice
