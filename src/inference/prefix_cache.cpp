#include "prefix_cache.hpp"

#include <algorithm>

namespace sluice::detail {

std::size_t common_length(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  const std::size_t most = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first -
      a.begin());
}

void PrefixCache::add(std::span<const std::int32_t> text, const StackState& state,
                      const Tensor& hidden) {
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (!std::equal(text.begin(), text.end(), it->text.begin(), it->text.end())) continue;
    entries_.splice(entries_.begin(), entries_, it);
    return;
  }
  const std::size_t bytes =
      state.bytes() + hidden.bytes() + text.size() * sizeof(std::int32_t) + sizeof(Entry);
  if (most_ == 0 || bytes > most_bytes_) return;
  entries_.push_front({{text.begin(), text.end()}, state, hidden, bytes});
  bytes_ += bytes;
  while (entries_.size() > most_) shrink(bytes_ - entries_.back().bytes);
  shrink(most_bytes_);
}

const PrefixCache::Entry* PrefixCache::find(std::span<const std::int32_t> text, std::size_t longest,
                                            std::size_t grid) {
  auto best = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    const std::size_t size = it->text.size();
    if (size > longest || (size % grid != 0 && size != text.size())) continue;
    if (best != entries_.end() && size <= best->text.size()) continue;
    if (common_length(it->text, text) == size) best = it;
  }
  if (best == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, best);
  return &entries_.front();
}

std::size_t PrefixCache::common(std::span<const std::int32_t> text) const {
  std::size_t most = 0;
  for (const Entry& entry : entries_) most = std::max(most, common_length(entry.text, text));
  return most;
}

void PrefixCache::shrink(std::size_t bytes) {
  while (bytes_ > bytes) {
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
}

}  // namespace sluice::detail
