#pragma once
// Sums over micro-batches of numbers that lie in memory.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "sluice/kernels/arithmetic.hpp"

namespace sluice {

/// The sum of nodes of `n` numbers each, as MicroSum adds them.
class SpanSum {
 public:
  /// `to`: where the total is to be, which overlaps no node. Null: anywhere.
  explicit SpanSum(std::int64_t n, float* to = nullptr)
      : n_(static_cast<std::size_t>(n)), to_(to) {}
  /// Numbers that must outlive the sum; null: no gradient. What may be written over is.
  struct Numbers {
    const float* values = nullptr;
    float* writable = nullptr;
  };
  /// Adds the node that comes after the last one.
  void push(int level, std::int64_t index, Numbers numbers) {
    while (!nodes_.empty() && nodes_.back().level == level && index % 2 == 1) {
      numbers = sum(nodes_.back().numbers, numbers, nodes_.size() == 1);
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
      nodes_.back().numbers = sum(nodes_.back().numbers, last, nodes_.size() == 1);
    }
    const float* const values = nodes_.front().numbers.values;
    if (to_ == nullptr || values == nullptr || values == to_) return values;
    return std::copy_n(values, n_, to_) - n_;
  }

 private:
  struct Node {
    int level;
    Numbers numbers;
  };
  /// Which of the two is written over does not matter: a + b has the bits of b + a. `first`: a is
  /// the first of all nodes, from whose sum the total comes.
  Numbers sum(Numbers a, Numbers b, bool first) {
    if (a.values == nullptr || b.values == nullptr) return a.values == nullptr ? b : a;
    if (first && to_ != nullptr && a.writable != to_) {
      // A piece at a time: it is in the cache when the other's is added.
      constexpr std::size_t piece = 4096;
      for (std::size_t at = 0; at < n_; at += piece) {
        const std::size_t n = std::min(piece, n_ - at);
        std::copy_n(a.values + at, n, to_ + at);
        kernels::add_scaled(to_ + at, b.values + at, 1.0F, n);
      }
      return {to_, to_};
    }
    if (a.writable == nullptr) std::swap(a, b);
    if (a.writable == nullptr) {
      made_.emplace_back(a.values, a.values + n_);
      a.values = a.writable = made_.back().data();
    }
    kernels::add_scaled(a.writable, b.values, 1.0F, n_);
    return a;
  }
  std::size_t n_;
  float* to_;
  std::vector<Node> nodes_;
  std::vector<std::vector<float>> made_;
};

}  // namespace sluice
