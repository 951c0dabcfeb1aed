#include "reading.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "splitting.hpp"

namespace sluice {
namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 20;

bool may_cut_before(std::string_view text, std::size_t at) {
  return is_blank(text[at]) && !is_blank(text[at - 1]) && text[at - 1] != '\n';
}

}  // namespace

std::size_t block_end(std::string_view text, std::size_t begin, std::size_t size) {
  if (text.size() - begin <= size) return text.size();
  const std::size_t limit = begin + size;
  const std::size_t newline = text.substr(begin, size).rfind('\n');
  if (newline != std::string_view::npos) return begin + newline + 1;
  for (std::size_t at = limit; at > begin + 1; --at) {
    if (may_cut_before(text, at)) return at;
  }
  for (std::size_t at = limit + 1; at < text.size(); ++at) {
    if (text[at - 1] == '\n' || may_cut_before(text, at)) return at;
  }
  return text.size();
}

BlockReader::BlockReader(std::vector<TextSource> sources) : sources_(std::move(sources)) {
  for (const TextSource& source : sources_) {
    bytes_ += static_cast<std::int64_t>(MappedText(source).text().size());
  }
  if (bytes_ == 0) {
    const std::string name = sources_.empty() ? "" : sources_.front().path.string();
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
      current_ = std::make_shared<const MappedText>(sources_[next_source_++]);
      position_ = 0;
    }
    const std::string_view text = current_->text();
    if (position_ == text.size()) {
      current_.reset();
      continue;
    }
    const std::size_t end = block_end(text, position_, block_bytes);
    round.push_back({current_, static_cast<std::int64_t>(current_->begin() + position_),
                     text.substr(position_, end - position_), end == text.size()});
    bytes -= static_cast<std::int64_t>(end - position_);
    position_ = end;
  }
  return !round.empty();
}

}  // namespace sluice
