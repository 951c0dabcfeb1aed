#pragma once
// Cosines and sines of rotary position embedding.

#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/kernels/attention.hpp"

namespace sluice {

/// cos and sin of position · 10000^(-i / pairs) for consecutive positions, computed in double.
template <class T>
struct RotaryTable {
  std::int64_t pairs = 0;
  std::int64_t positions = 0;
  std::vector<T> cosine, sine;  // [positions, pairs]

  /// To a position and by a factor, or `back` from there.
  kernels::Rotation<T> rotation(std::int64_t position, T factor, bool back) const {
    const std::int64_t at = position * pairs;
    return {cosine.data() + at, sine.data() + at, factor, back};
  }
};

/// For positions first .. first + count - 1.
template <class T>
RotaryTable<T> make_rotary_table(std::int64_t pairs, std::int64_t first, std::int64_t count);

/// For positions 0 .. at least count - 1: one table for all who ask, on any thread, made longer
/// when need be.
template <class T>
std::shared_ptr<const RotaryTable<T>> rotary_table(std::int64_t pairs, std::int64_t count);

}  // namespace sluice
