#pragma once
// Reading corpora in blocks of whole lines, in bounded memory.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

/// Sources as a sequence of rounds of blocks. What the blocks are depends on the text alone, not on
/// the number of threads.
class BlockReader {
 public:
  /// Throws Error when a source cannot be read, and when all of them are empty.
  explicit BlockReader(std::vector<TextSource> sources);

  std::int64_t bytes() const { return bytes_; }

  /// Replaces `round` by the next blocks, about `bytes` bytes of them; false when there are none.
  bool next(std::int64_t bytes, std::vector<Block>& round);

  /// Calls body(blocks) for rounds of blocks, enough of them to keep all cores busy; reports
  /// progress as `what`.
  template <class Body>
  void for_each_round(const Progress& progress, std::string_view what, Body&& body) {
    std::vector<Block> round;
    std::int64_t done = 0;
    while (next(round_bytes(), round)) {
      body(std::as_const(round));
      for (const Block& block : round) done += static_cast<std::int64_t>(block.text.size());
      if (progress) progress(static_cast<double>(done) / static_cast<double>(bytes_), what);
    }
  }

 private:
  static std::int64_t round_bytes();

  std::vector<TextSource> sources_;
  std::int64_t bytes_ = 0;
  std::size_t next_source_ = 0;
  std::shared_ptr<const TextFile> current_;
  std::uint64_t position_ = 0;
};

}  // namespace sluice
