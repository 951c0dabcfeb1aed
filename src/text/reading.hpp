#pragma once
// Reading corpora in blocks of whole lines, in bounded memory.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/pieces.hpp"
#include "sluice/base/progress.hpp"
#include "sluice/text/source.hpp"

namespace sluice {

/// A piece of a source that ends where a line ends or, inside a line longer than a block, where one
/// of its segments does (for_each_segment).
struct Block {
  std::shared_ptr<const TextFile> source;
  std::int64_t offset = 0;  ///< of `text` in the file
  std::string text;
  bool ends_source = false;
  std::size_t index = 0;  ///< of the source among those that are read
};

/// Calls body(line, ended) for the lines of a block; `ended` is false for the part of a line that
/// continues in the next block. An unterminated last line of a source counts as ended.
template <class Body>
void for_each_line(const Block& block, Body&& body) {
  std::string_view rest = block.text;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      body(rest, block.ends_source);
      return;
    }
    body(rest.substr(0, end), true);
    rest.remove_prefix(end + 1);
  }
}

/// Where a block of about `size` bytes that starts at `begin` ends; see Block.
std::size_t block_end(std::string_view text, std::size_t begin, std::size_t size);

/// Consecutive blocks of all that there are.
struct Round {
  std::int64_t first = 0;
  std::vector<Block> blocks;
};

/// Sources as a sequence of rounds of blocks. What the blocks are depends on the text alone, not on
/// the number of threads or processes.
class BlockReader {
 public:
  /// Throws Error when a source cannot be read, and when all of them are empty.
  explicit BlockReader(std::vector<TextSource> sources);

  /// Bytes in all of them; waits for those that are being unpacked.
  std::int64_t bytes() const;

  /// Replaces `round` by the next blocks, about `bytes` bytes of them; false when there are none.
  bool next(std::int64_t bytes, std::vector<Block>& round);

  /// What comes of a round, as bytes.
  using Body = std::function<std::string(const Round&)>;
  /// Has `work` call body(round) for rounds of blocks, each enough to keep all of a process's cores
  /// busy, and `write` with what comes of them, in order; reports progress as `what` where it
  /// leads. Every process reads the blocks that are its own; the one that leads finds out where
  /// they are.
  void for_each_round(PieceWork& work, const Progress& progress, std::string_view what,
                      const Body& body, const PieceWork::Write& write);

 private:
  static std::int64_t round_bytes();
  /// The blocks that stand where a piece of work says.
  Round read_round(std::string_view piece) const;

  /// The same, as far as it can be known now.
  double expected_bytes() const;

  std::vector<TextSource> sources_;
  std::int64_t known_bytes_ = 0;  // of those that are not being unpacked
  std::size_t next_source_ = 0;
  std::shared_ptr<const TextFile> current_;
  std::uint64_t position_ = 0;
};

}  // namespace sluice
