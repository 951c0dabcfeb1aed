#pragma once
// The parts of an n-gram model as they lie in memory and in its file.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/file.hpp"
#include "sluice/inference/ngram.hpp"

namespace sluice {

/// Nodes are n-grams: 0 the empty one, then the 1-grams in the order of their words, then the
/// longer ones, each length after the shorter, sorted by the node of their first words and then by
/// their last. Those below the order, "inner" ones, can be contexts.
struct NgramModel::Image {
  static constexpr std::size_t most_order = 16;

  /// At the start of the file; the checksum is of this, with the checksum of what follows in its
  /// place.
  struct Header {
    std::array<char, 8> magic = {'S', 'L', 'U', 'I', 'C', 'E', 'N', 'G'};
    std::uint32_t version = 2;
    std::uint32_t order = 0;
    std::uint64_t nodes = 0;
    std::uint64_t inner = 0;
    std::uint64_t words = 0;
    std::uint64_t name_bytes = 0;
    std::uint32_t begin = 0, end = 0, unknown = 0, padding = 0;
    std::array<std::uint64_t, most_order> counts{};
    std::uint64_t checksum = 0;
    std::array<std::uint64_t, 7> more_padding{};
  };
  static_assert(sizeof(Header) % 64 == 0, "what follows is aligned");

  /// Of each node: its log10-probability, and the state behind it.
  struct Entry {
    float log10 = 0;
    std::uint32_t next = 0;
  };
  /// Of each inner node: the backoff weight (log10), the context that is left without its first
  /// words (the longest that is a node), and its first child.
  struct Context {
    float backoff = 0;
    std::uint32_t shorter = 0;
    std::uint32_t first_child = 0;
  };

  Header header;
  /// [nodes]; the last word of each.
  std::span<const std::uint32_t> last_word;
  /// [nodes].
  std::span<const Entry> entries;
  /// [inner + 1], the last for the end of the last one's children.
  std::span<const Context> contexts;
  /// [words + 1]: where each word's name begins, then the names.
  std::span<const std::uint64_t> name_begin;
  std::string_view names;

  /// The child of `node` with that word; 0: none. Nodes below `inner` only.
  std::uint32_t child(std::uint32_t node, Word word) const;

  /// What the spans point to: parts that were built, or a mapped file.
  struct Parts {
    std::vector<std::uint32_t> last_word;
    std::vector<Entry> entries;
    std::vector<Context> contexts;
    std::vector<std::uint64_t> name_begin;
    std::string names;
  };
  /// Owning `parts`; the header's sizes are set here.
  static std::unique_ptr<const Image> of(Parts parts, Header header);
  /// Throws Error for a file of another kind, or damaged.
  static std::unique_ptr<const Image> of(MappedFile file);

  Parts parts;
  std::unique_ptr<const MappedFile> file;
};

}  // namespace sluice
