#include "reading.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "splitting.hpp"

namespace sluice {
namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 20;

}  // namespace

std::size_t block_end(std::string_view text, std::size_t begin, std::size_t size) {
  if (text.size() - begin <= size) return text.size();
  const std::size_t newline = text.substr(begin, size).rfind('\n');
  if (newline != std::string_view::npos) return begin + newline + 1;
  const std::size_t line_end = std::min(text.find('\n', begin), text.size());
  std::size_t end = begin;
  while (end < line_end) {
    const std::size_t next = end + segment_length(text.substr(end, line_end - end));
    if (next > begin + size && end > begin) return end;
    end = next;
    if (end >= begin + size) break;
  }
  return end == line_end && end < text.size() ? end + 1 : end;
}

BlockReader::BlockReader(std::vector<TextSource> sources) : sources_(std::move(sources)) {
  for (const TextSource& source : sources_) {
    bytes_ += static_cast<std::int64_t>(TextFile(source).size());
  }
  if (bytes_ == 0) {
    const std::string name = sources_.empty() ? "" : sources_.front().title();
    throw Error(sources_.size() == 1
                    ? fmt::format("cannot read text from '{}': the file is empty", name)
                    : fmt::format("cannot read text from {} files ('{}', ...): all are empty",
                                  sources_.size(), name));
  }
}

std::int64_t BlockReader::round_bytes() {
  return 4 * static_cast<std::int64_t>(block_bytes) * thread_count();
}

bool BlockReader::next(std::int64_t bytes, std::vector<Block>& round) {
  round.clear();
  while (bytes > 0) {
    if (!current_) {
      if (next_source_ == sources_.size()) break;
      current_ = std::make_shared<const TextFile>(sources_[next_source_++]);
      position_ = 0;
    }
    if (position_ == current_->size()) {
      current_.reset();
      continue;
    }
    // With what follows a block of full size, to see whether it may be cut there.
    std::string text = current_->read(position_, block_bytes + 4);
    const std::size_t size = block_end(text, 0, block_bytes);
    text.resize(size);
    const auto offset = static_cast<std::int64_t>(current_->begin() + position_);
    position_ += size;
    round.push_back({current_, offset, std::move(text), position_ == current_->size()});
    bytes -= static_cast<std::int64_t>(size);
  }
  return !round.empty();
}

}  // namespace sluice
