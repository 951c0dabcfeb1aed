#include "sluice/nn/condition.hpp"

#include <fmt/format.h>

#include <vector>

#include "sluice/autograd/residual.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/rows.hpp"

namespace sluice {
namespace {

std::vector<std::int32_t> label_of_rows(const RowLabels& labels, std::int64_t rows) {
  if (labels.one()) return std::vector<std::int32_t>(static_cast<std::size_t>(rows), labels.all);
  if (static_cast<std::int64_t>(labels.each.size()) != rows) {
    throw Error(fmt::format("condition: {} labels given for {} rows", labels.each.size(), rows));
  }
  return {labels.each.begin(), labels.each.end()};
}

}  // namespace

Tensor FrozenCondition::apply(const Tensor& x, const RowLabels& labels) const {
  if (!defined()) return x;
  Tensor y = pick_rows(weight, label_of_rows(labels, x.dim(0)), "condition");
  add_in_place(y, x);
  return y;
}

Condition::Condition(std::int64_t labels, std::int64_t channels, DType dtype) {
  if (labels == 0) return;
  weight_ = Variable(Tensor::zeros(Shape{labels + 1, channels}, dtype), true);
}

Variable Condition::forward(const Variable& x, const RowLabels& labels) const {
  if (!defined()) return x;
  const std::int64_t rows = x.value().elements() / weight_.shape()[1];
  const Variable added = embedding(label_of_rows(labels, rows), weight_);
  return residual_add(x, reshape(added, x.shape()));
}

FrozenCondition Condition::freeze(const FreezeOptions& options) const {
  return {defined() ? frozen_tensor(weight_.value(), options) : Tensor()};
}

void Condition::collect(Parameters& parameters, const std::string& prefix) const {
  // Not a weight that decays: it is a bias, of which there is one for each label.
  if (defined()) parameters.push_back({prefix + "condition.weight", weight_, {}, {}, false});
}

}  // namespace sluice
