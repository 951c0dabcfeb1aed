#pragma once
// Sums over the micro-batches of a step, in an order that does not depend on who computes which.

#include <cstdint>
#include <span>
#include <vector>

#include "sluice/autograd/variable.hpp"
#include "sluice/nn/module.hpp"

namespace sluice {

/// A run of the micro-batches of a step, by their numbers.
struct MicroBatches {
  std::int64_t begin = 0, end = 1;
  std::int64_t size() const { return end - begin; }
};

/// The sum over the micro-batches [index · 2^level, (index + 1) · 2^level).
struct SumNode {
  int level = 0;
  std::int64_t index = 0;
  Gradient sum;
};

/// One quantity's sum over the micro-batches 0 to n - 1 of a step, by a binary tree that n alone
/// determines: neighbours are added in pairs, pairs in fours and so on, and what is left over at
/// the end is added from the last to the first. Whoever has a run of consecutive micro-batches has
/// the sums of the whole nodes in it, and these are all that others need: every division of n into
/// runs gives the same bits. Of a run from 0, at most ⌊log2(n)⌋ + 1 nodes are kept at a time.
class MicroSum {
 public:
  MicroSum(Shape shape, DType dtype) : shape_(shape), dtype_(dtype) {}

  const Shape& shape() const { return shape_; }

  /// Takes what `part` holds as that of `micro`, the micro-batch after the last one added; `part`
  /// is empty then. Sums of squares (GradientSlot::squares) are not kept: who has one depends on
  /// the division.
  void add(std::int64_t micro, GradientSlot& part);
  /// Adds the node that comes after the last one.
  void push(SumNode node);
  /// What was added, in order.
  const std::vector<SumNode>& nodes() const { return nodes_; }
  /// Moves the sum of all nodes, which begin with micro-batch 0, to `total`, which is empty.
  void finish(GradientSlot& total);
  void clear() { nodes_.clear(); }

  /// The most tensors that a sum over `n` micro-batches keeps beside that of the one at work.
  static int most_kept(std::int64_t n);

 private:
  Shape shape_;
  DType dtype_;
  std::vector<SumNode> nodes_;
};

/// Running statistics (a model's variables that require no gradient) over the micro-batches of a
/// step: each starts from those before the step, and the mean of what they make of them is what
/// the step leaves.
class StatisticsMean {
 public:
  /// The parameters' variables must outlive it.
  explicit StatisticsMean(const Parameters& parameters);

  /// Before the first micro-batch of a step.
  void begin();
  /// After micro-batch `micro`: takes what it left, and puts back what was before it.
  void add(std::int64_t micro);
  std::size_t size() const { return variables_.size(); }
  /// A variable's sum over the micro-batches, and where the sum over all of them is to be put
  /// before finish().
  MicroSum& sum(std::size_t i) { return sums_[i]; }
  GradientSlot& total(std::size_t i) { return *totals_[i]; }
  /// After the last of `n` micro-batches.
  void finish(std::int64_t n);

 private:
  std::vector<Variable> variables_;
  std::vector<Tensor> before_;
  std::vector<MicroSum> sums_;
  std::vector<Gradient> totals_;
};

}  // namespace sluice
