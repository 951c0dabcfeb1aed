#include "reading.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "splitting.hpp"
#include "unpacking.hpp"

namespace sluice {
namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 20;

/// Where a block stands.
struct BlockPlace {
  std::uint64_t number, source, offset, size, ends_source;
};

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
  bool empty = true;
  for (const TextSource& source : sources_) {
    const TextFile file(source);
    empty = empty && file.ends_at(0);
    if (!source.unpacking) known_bytes_ += static_cast<std::int64_t>(file.size());
  }
  if (empty) {
    const std::string name = sources_.empty() ? "" : sources_.front().title();
    throw Error(sources_.size() == 1
                    ? fmt::format("cannot read text from '{}': the file is empty", name)
                    : fmt::format("cannot read text from {} files ('{}', ...): all are empty",
                                  sources_.size(), name));
  }
}

std::int64_t BlockReader::bytes() const {
  std::int64_t bytes = known_bytes_;
  for (const TextSource& source : sources_) {
    if (source.unpacking) bytes += static_cast<std::int64_t>(TextFile(source).size());
  }
  return bytes;
}

double BlockReader::expected_bytes() const {
  auto bytes = static_cast<double>(known_bytes_);
  for (const TextSource& source : sources_) {
    if (source.unpacking) bytes += static_cast<double>(source.unpacking->expected_size());
  }
  return bytes;
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
    if (current_->ends_at(position_)) {
      current_.reset();
      continue;
    }
    // With what follows a block of full size, to see whether it may be cut there.
    std::string text = current_->read(position_, block_bytes + 4);
    const std::size_t size = block_end(text, 0, block_bytes);
    text.resize(size);
    const auto offset = static_cast<std::int64_t>(current_->begin() + position_);
    position_ += size;
    round.push_back(
        {current_, offset, std::move(text), current_->ends_at(position_), next_source_ - 1});
    bytes -= static_cast<std::int64_t>(size);
  }
  return !round.empty();
}

Round BlockReader::read_round(std::string_view piece) const {
  Round round;
  for (const BlockPlace& place : values_of_bytes<BlockPlace>(piece)) {
    const auto source = static_cast<std::size_t>(place.source);
    if (round.blocks.empty()) round.first = static_cast<std::int64_t>(place.number);
    const bool same = !round.blocks.empty() && round.blocks.back().index == source;
    Block block{.source = same ? round.blocks.back().source
                               : std::make_shared<const TextFile>(sources_.at(source)),
                .offset = static_cast<std::int64_t>(place.offset),
                .text = {},
                .ends_source = place.ends_source != 0,
                .index = source};
    block.text = block.source->read(place.offset - block.source->begin(), place.size);
    if (block.text.size() != place.size) {
      throw Error(
          fmt::format("'{}' is not the same file for all processes, or was changed while "
                      "in use",
                      block.source->title()));
    }
    round.blocks.push_back(std::move(block));
  }
  return round;
}

void BlockReader::for_each_round(PieceWork& work, const Progress& progress, std::string_view what,
                                 const Body& body, const PieceWork::Write& write) {
  std::int64_t read = 0, blocks = 0;
  // The round that this process has read and not worked on yet: it need not be read again.
  std::optional<Round> own;
  const auto read_next = [&]() -> std::optional<PieceWork::Piece> {
    Round round{.first = blocks, .blocks = {}};
    if (!next(round_bytes(), round.blocks)) return std::nullopt;
    std::vector<BlockPlace> places;
    for (const Block& block : round.blocks) {
      places.push_back({static_cast<std::uint64_t>(blocks++), block.index,
                        static_cast<std::uint64_t>(block.offset), block.text.size(),
                        block.ends_source ? std::uint64_t{1} : 0});
      read += static_cast<std::int64_t>(block.text.size());
    }
    if (!own) own = std::move(round);
    return PieceWork::Piece{bytes_of_values(places)};
  };
  work.stream(
      read_next,
      [&](std::string_view piece) {
        const Round round = own ? *std::exchange(own, std::nullopt) : read_round(piece);
        return body(round);
      },
      [&](std::string_view result) {
        write(result);
        if (progress) {
          progress(std::min(1.0, static_cast<double>(read) / expected_bytes()), what);
        }
      });
}

}  // namespace sluice
