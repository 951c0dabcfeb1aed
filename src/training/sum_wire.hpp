#pragma once
// How parts of sums travel between processes.

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "sluice/tensor/precision.hpp"

namespace sluice {

/// Runs of float32 numbers on their way: as they are, or rounded to bfloat16 once. What rounding
/// leaves is kept and added to what is sent next from the same place, so that no part of a gradient
/// is lost, only late (error feedback: Seide et al. 2014, "1-bit stochastic gradient descent and
/// its application to data-parallel distributed training of speech DNNs", section 3). One thread.
class SumWire {
 public:
  /// `slots`: in how many places a leaf's numbers are sent from.
  SumWire(Precision precision, std::size_t slots) : precision_(precision), slots_(slots) {}

  bool rounds() const { return precision_ == Precision::bf16; }
  std::size_t scalar_bytes() const { return rounds() ? sizeof(std::uint16_t) : sizeof(float); }

  /// Which numbers these are: from `offset` on of a leaf that has `elements`, sent from `slot`.
  struct Place {
    std::size_t leaf, slot;
    std::int64_t offset, elements;
  };
  /// Makes room for what rounding leaves of a leaf, in every process whether it sends any of it or
  /// not.
  void expect(std::size_t leaf, std::int64_t elements);
  /// Begins anew.
  void clear();
  /// Of a leaf that was expected.
  void append(const float* values, std::int64_t n, const Place& place);
  /// Numbers that were appended, and their bytes.
  std::size_t size() const { return rounds() ? rounded_.size() : plain_.size(); }
  std::span<const std::byte> bytes() const;

  /// Where the bytes of as many numbers as `to` has are to be put when they arrive, before
  /// arrived() makes them `to`.
  std::span<std::byte> room(std::span<float> to);
  void arrived(std::span<float> to) const;

  /// By leaf: what rounding left in each of its places, [slots, elements]. Only of leaves that were
  /// sent.
  std::map<std::size_t, std::vector<float>>& errors() { return errors_; }
  std::size_t slots() const { return slots_; }

 private:
  Precision precision_;
  std::size_t slots_;
  std::vector<float> plain_;
  std::vector<std::uint16_t> rounded_, arriving_;
  std::map<std::size_t, std::vector<float>> errors_;
};

}  // namespace sluice
