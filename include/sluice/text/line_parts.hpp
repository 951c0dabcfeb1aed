#pragma once
// Where the tokens and the words of a line stand in its text; the words of texts counted.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/text/source.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Bytes [begin, end) of a text.
struct TextSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool operator==(const TextSpan&) const = default;
};

/// Where each of the tokens that `tokenizer` cut `line` into stands: a word without the blanks
/// around it, a character, bytes, a subword with the blank that it begins with. About there, where
/// the tokenizer brings the line into another normal form first.
std::vector<TextSpan> token_spans(const Tokenizer& tokenizer, std::string_view line,
                                  std::span<const TokenId> tokens);

/// The words of a line: its maximal runs of other than white space (Unicode's White_Space).
std::vector<TextSpan> word_spans(std::string_view line);

/// How much text there is.
struct TextExtent {
  /// Lines, an unterminated last one included; words as word_spans() has them.
  std::int64_t lines = 0, words = 0;
  std::int64_t bytes = 0;
};
/// Throws Error as TextFile does.
TextExtent text_extent(const std::vector<TextSource>& sources);

}  // namespace sluice
SLUICE_API_END
