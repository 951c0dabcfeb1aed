#pragma once
// Texts of different lengths in one matrix, without padding.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Where the rows of several texts stand in a matrix [ΣT, C]: text i has length(i) rows, one for
/// each of its positions, from row first(i) on, behind those of text i - 1. A value.
class PackedRows {
 public:
  /// Lengths must be 0 or more.
  explicit PackedRows(std::span<const std::int64_t> lengths) : first_(lengths.size() + 1) {
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      first_[i + 1] = first_[i] + lengths[i];
      longest_ = std::max(longest_, lengths[i]);
    }
  }

  std::size_t texts() const { return first_.size() - 1; }
  /// ΣT.
  std::int64_t rows() const { return first_.back(); }
  std::int64_t first(std::size_t text) const { return first_[text]; }
  std::int64_t length(std::size_t text) const { return first_[text + 1] - first_[text]; }
  /// The text that a row in [0, rows()) belongs to.
  std::size_t text_of(std::int64_t row) const {
    return static_cast<std::size_t>(std::upper_bound(first_.begin(), first_.end(), row) -
                                    first_.begin()) -
           1;
  }
  /// The longest text's length; 0 without texts.
  std::int64_t longest() const { return longest_; }
  /// Whether all texts have one length, so that the matrix is [B, T, C].
  bool uniform() const { return rows() == longest_ * static_cast<std::int64_t>(texts()); }

 private:
  std::vector<std::int64_t> first_;
  std::int64_t longest_ = 0;
};

}  // namespace sluice
SLUICE_API_END
