#pragma once
// Sums over micro-batches of numbers that lie in memory.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "sluice/kernels/arithmetic.hpp"

namespace sluice {

/// The sum of nodes of `n` numbers each, as MicroSum adds them.
class SpanSum {
 public:
  explicit SpanSum(std::int64_t n) : n_(static_cast<std::size_t>(n)) {}
  /// Numbers that must outlive the sum; null: no gradient. What may be written over is.
  struct Numbers {
    const float* values = nullptr;
    float* writable = nullptr;
  };
  /// Adds the node that comes after the last one.
  void push(int level, std::int64_t index, Numbers numbers) {
    while (!nodes_.empty() && nodes_.back().level == level && index % 2 == 1) {
      numbers = sum(nodes_.back().numbers, numbers);
      nodes_.pop_back();
      ++level;
      index /= 2;
    }
    nodes_.push_back({level, numbers});
  }
  /// Of all nodes, at least one; null when none has a gradient. Good as long as this lives.
  const float* total() {
    while (nodes_.size() > 1) {
      const Numbers last = nodes_.back().numbers;
      nodes_.pop_back();
      nodes_.back().numbers = sum(nodes_.back().numbers, last);
    }
    return nodes_.front().numbers.values;
  }

 private:
  struct Node {
    int level;
    Numbers numbers;
  };
  /// Which of the two is written over does not matter: a + b has the bits of b + a.
  Numbers sum(Numbers a, Numbers b) {
    if (a.values == nullptr || b.values == nullptr) return a.values == nullptr ? b : a;
    if (a.writable == nullptr) std::swap(a, b);
    if (a.writable == nullptr) {
      made_.emplace_back(a.values, a.values + n_);
      a.values = a.writable = made_.back().data();
    }
    kernels::add_scaled(a.writable, b.values, 1.0F, n_);
    return a;
  }
  std::size_t n_;
  std::vector<Node> nodes_;
  std::vector<std::vector<float>> made_;
};

}  // namespace sluice
