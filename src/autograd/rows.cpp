#include "sluice/autograd/rows.hpp"

#include <utility>

#include <fmt/format.h>

#include "op_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/tensor/detail/rows.hpp"
#include "sparse_rows.hpp"

namespace sluice {
namespace {

// Rows of a matrix picked by index; `what` names the op in errors.
Variable picked(const Variable& table, std::span<const std::int32_t> index, const char* what) {
  if (table.shape().rank() != 2) {
    throw Error(fmt::format("{}: expected a matrix, got shape {}", what, table.shape().str()));
  }
  return record(pick_rows(table.value(), index, what), {table},
                [table = table.gradient(),
                 ids = std::vector<std::int32_t>(index.begin(), index.end())](const Tensor& dy) {
                  double squares = 0;
                  SparseRows g = sum_rows(ids, dy, &squares);
                  table->accumulate(std::move(g), squares);
                });
}

}  // namespace

Variable embedding(std::span<const std::int32_t> ids, const Variable& table) {
  return picked(table, ids, "embedding");
}

Variable gather_rows(const Variable& x, std::span<const std::int32_t> index) {
  return picked(x, index, "gather_rows");
}

Variable reshape(const Variable& x, Shape shape) {
  return record(
      x.value().reshape(shape), {x},
      [from = x.shape(), x = x.gradient()](const Tensor& dy) { x->accumulate(dy.reshape(from)); });
}

Variable concat_rows(const Variable& top, const Variable& bottom) {
  if (top.shape().rank() != 2 || bottom.shape().rank() != 2 ||
      top.shape()[1] != bottom.shape()[1]) {
    throw Error(fmt::format("concat_rows: shapes {} and {} do not stack", top.shape().str(),
                            bottom.shape().str()));
  }
  const std::int64_t n = top.shape()[0], m = bottom.shape()[0];
  const Tensor y(Shape{n + m, top.shape()[1]}, top.dtype());
  y.rows(0, n).copy_from(top.value());
  y.rows(n, n + m).copy_from(bottom.value());
  return record(y, {top, bottom},
                [n, m, top = top.gradient(), bottom = bottom.gradient()](const Tensor& dy) {
                  if (top) top->accumulate(dy.rows(0, n).clone());
                  if (bottom) bottom->accumulate(dy.rows(n, n + m).clone());
                });
}

Variable scatter_rows(const std::vector<RowPart>& parts, std::int64_t rows) {
  if (parts.empty()) throw Error("scatter_rows: no parts given");
  const std::int64_t columns = parts.front().rows.shape()[1];
  const DType dtype = parts.front().rows.dtype();
  const Tensor y = Tensor::zeros(Shape{rows, columns}, dtype);
  std::vector<std::pair<Gradient, std::vector<std::int32_t>>> gradients;
  Variable inputs = parts.front().rows;
  for (const RowPart& part : parts) {
    if (!(part.rows.shape() == Shape{static_cast<std::int64_t>(part.index.size()), columns})) {
      throw Error(
          fmt::format("scatter_rows: a part of shape {} comes with {} indices of {} columns",
                      part.rows.shape().str(), part.index.size(), columns));
    }
    place_rows(y, part.rows.value(), part.index);
    gradients.emplace_back(part.rows.gradient(), part.index);
    if (part.rows.requires_grad()) inputs = part.rows;
  }
  return record(y, {inputs}, [gradients](const Tensor& dy) {
    for (const auto& [gradient, index] : gradients) {
      if (gradient) gradient->accumulate(pick_rows(dy, index, "scatter_rows"));
    }
  });
}

}  // namespace sluice
