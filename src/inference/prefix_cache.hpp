#pragma once
// Beginnings of texts that were read, with their states.

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <vector>

#include "sluice/models/frozen_stack.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice::detail {

/// The length of what two texts have in common at their beginnings.
std::size_t common_length(std::span<const std::int32_t> a, std::span<const std::int32_t> b);

/// States of texts, the last used first, bounded in number and bytes. Not thread-safe.
class PrefixCache {
 public:
  struct Entry {
    std::vector<std::int32_t> text;
    StackState state;
    Tensor hidden;  ///< [1, H], behind the last token
    std::size_t bytes = 0;
  };

  PrefixCache(std::size_t entries, std::size_t bytes) : most_(entries), most_bytes_(bytes) {}

  /// Remembers a text's state, or that it was used again.
  void add(std::span<const std::int32_t> text, const StackState& state, const Tensor& hidden);
  /// The longest entry that `text` begins with, of at most `longest` tokens, and of a length that
  /// is `whole` or a multiple of `grid`; null: none. It counts as used, and stays until add() or
  /// shrink().
  const Entry* find(std::span<const std::int32_t> text, std::size_t longest, std::size_t grid);
  /// The longest beginning that `text` has in common with any entry.
  std::size_t common(std::span<const std::int32_t> text) const;
  /// Forgets entries, those that were not used for the longest time first, until they take at most
  /// `bytes`.
  void shrink(std::size_t bytes);

  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const { return bytes_; }
  bool enabled() const { return most_ > 0; }

 private:
  std::size_t most_, most_bytes_;
  std::list<Entry> entries_;
  std::size_t bytes_ = 0;
};

}  // namespace sluice::detail
