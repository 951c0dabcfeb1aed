#include "micro_sums.hpp"

#include <bit>
#include <memory>
#include <utility>

#include "sluice/base/profile.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
namespace {

/// sum += part, which is empty afterwards.
void move_into(GradientSlot& sum, GradientSlot& part) {
  if (const SparseRows* sparse = part.sparse()) {
    SparseRows rows = *sparse;
    part.clear();  // so that the rows have one owner
    sum.accumulate(std::move(rows));
  } else if (part.defined()) {
    sum.accumulate(part.take());
  }
}

}  // namespace

int MicroSum::most_kept(std::int64_t n) {
  return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(n))) - 1;
}

void MicroSum::add(std::int64_t micro, GradientSlot& part) {
  SumNode node{0, micro, std::make_shared<GradientSlot>(shape_, dtype_)};
  move_into(*node.sum, part);
  push(std::move(node));
}

void MicroSum::push(SumNode node) {
  const ProfileScope scope("accumulate");
  // Nodes follow each other, so that the one before an odd one of its level is its sibling.
  while (!nodes_.empty() && nodes_.back().level == node.level && node.index % 2 == 1) {
    SumNode parent{node.level + 1, node.index / 2, std::move(nodes_.back().sum)};
    nodes_.pop_back();
    move_into(*parent.sum, *node.sum);
    node = std::move(parent);
  }
  nodes_.push_back(std::move(node));
}

void MicroSum::finish(GradientSlot& total) {
  const ProfileScope scope("accumulate");
  while (nodes_.size() > 1) {
    const Gradient last = std::move(nodes_.back().sum);
    nodes_.pop_back();
    move_into(*nodes_.back().sum, *last);
  }
  move_into(total, *nodes_.front().sum);
  nodes_.clear();
}

StatisticsMean::StatisticsMean(const Parameters& parameters) {
  for (const Parameter& parameter : parameters) {
    if (parameter.variable.requires_grad()) continue;
    const Tensor& value = parameter.variable.value();
    variables_.push_back(parameter.variable);
    before_.push_back(Tensor::zeros(value.shape(), value.dtype()));
    sums_.emplace_back(value.shape(), value.dtype());
    totals_.push_back(std::make_shared<GradientSlot>(value.shape(), value.dtype()));
  }
}

void StatisticsMean::begin() {
  for (std::size_t i = 0; i < variables_.size(); ++i) {
    before_[i].copy_from(variables_[i].value());
    sums_[i].clear();
    totals_[i]->clear();
  }
}

void StatisticsMean::add(std::int64_t micro) {
  for (std::size_t i = 0; i < variables_.size(); ++i) {
    const Tensor& value = variables_[i].value();
    GradientSlot left(value.shape(), value.dtype());
    left.accumulate(value.clone());
    sums_[i].add(micro, left);
    value.copy_from(before_[i]);
  }
}

void StatisticsMean::finish(std::int64_t n) {
  for (std::size_t i = 0; i < variables_.size(); ++i) {
    const Tensor& value = variables_[i].value();
    zero_in_place(value);
    add_in_place(value, totals_[i]->take(), 1 / static_cast<double>(n));
  }
}

}  // namespace sluice
