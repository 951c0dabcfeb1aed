#pragma once
// Rows of a matrix: picked, placed, and turned into log-probabilities.

#include <cstdint>
#include <span>

#include "sluice/tensor/prepared_weight.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice {

/// Rows of x [R, C] by index: [n, C]. Throws Error, naming `what`, for an index outside [0, R).
/// Float types, as all here that does not say otherwise.
Tensor pick_rows(const Tensor& x, std::span<const std::int32_t> index, const char* what);

/// y[index[i]] = rows[i]: rows [n, C] into y [R, C].
void place_rows(const Tensor& y, const Tensor& rows, std::span<const std::int32_t> index);

/// Each row of x [R, N] becomes its log-softmax.
void log_softmax_rows(const Tensor& x);

/// Log-probabilities by a hierarchy of two levels, in place: `head` [R, ends[0] + bands] has what
/// the first tokens and the other bands' sums are chosen by, and of y [R, ends.back()] each band
/// but the first what its tokens are chosen by. Float32.
void log_softmax_bands(const Tensor& y, const Tensor& head, std::span<const std::int64_t> ends);

/// Elements [first, first + count) of each of n tensors, one under another: [n, count]; zeros for
/// an undefined one. Undefined when all are. And its inverse: those elements of tensor i become row
/// i of `rows` (of any shape with as many elements).
Tensor stacked_parts(std::span<const Tensor> tensors, std::int64_t first, std::int64_t count);
void spread_parts(std::span<const Tensor> tensors, std::int64_t first, const Tensor& rows);

/// nll[row_index[r]] (nll[r] when row_index is empty) += -ln softmax(h[r]·W + bias)[targets[r]] for
/// h float32 [R, D]; the logits exist for one block of rows at a time. bias [N] or undefined;
/// targets in [0, N) (Error otherwise).
void add_softmax_nll(std::span<double> nll, const Tensor& h, const PreparedWeight& weight,
                     const Tensor& bias, std::span<const std::int32_t> targets,
                     std::span<const std::int32_t> row_index = {});

}  // namespace sluice
