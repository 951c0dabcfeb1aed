#include "sluice/text/line_parts.hpp"

#include <algorithm>
#include <string>

#include "splitting.hpp"

namespace sluice {
namespace {

/// Length of the white space that begins `text`; 0: none.
std::size_t white_space_length(std::string_view text) {
  if (text.empty()) return 0;
  return is_blank(text.front()) ? 1 : wide_blank_length(text);
}

/// Where text begins that is no white space.
std::size_t skip_white_space(std::string_view line, std::size_t at) {
  while (const std::size_t length = white_space_length(line.substr(at))) at += length;
  return at;
}

std::size_t word_end(std::string_view line, std::size_t at) {
  while (at < line.size() && white_space_length(line.substr(at)) == 0) ++at;
  return at;
}

/// A word, or a byte of one, at `at` or behind the white space there. Where a normal form has
/// changed it, it is what stands there.
TextSpan span_of_word(std::string_view line, std::size_t at, std::string_view text) {
  const bool begins = text.empty() || text.front() == ' ';
  if (begins || white_space_length(line.substr(at)) > 0) at = skip_white_space(line, at);
  text.remove_prefix(!text.empty() && begins ? 1 : 0);
  if (line.substr(at).starts_with(text)) return {at, at + text.size()};
  return {at, word_end(line, at)};
}

/// A piece of running text at `at`; where normal forms have changed the line, blanks bring the two
/// together again.
TextSpan span_of_piece(std::string_view line, std::size_t at, std::string_view text) {
  if (text.starts_with(' ') && at < line.size() && line[at] != ' ') {
    at = std::min(line.find(' ', at), line.size());
  }
  return {at, std::min(at + text.size(), line.size())};
}

}  // namespace

std::vector<TextSpan> word_spans(std::string_view line) {
  std::vector<TextSpan> spans;
  for_each_word(line, WhiteSpace::unicode, [&](std::string_view word) {
    const auto begin = static_cast<std::size_t>(word.data() - line.data());
    spans.push_back({begin, begin + word.size()});
  });
  return spans;
}

std::vector<TextSpan> token_spans(const Tokenizer& tokenizer, std::string_view line,
                                  std::span<const TokenId> tokens) {
  const bool words = tokenizer.kind() == "word";
  std::vector<TextSpan> spans;
  spans.reserve(tokens.size());
  std::size_t at = 0;
  TokenId previous = tokenizer.eos();
  for (const TokenId token : tokens) {
    TextSpan span;
    if (token == tokenizer.unk()) {
      span.begin = words ? skip_white_space(line, at) : at;
      span.end = words ? word_end(line, span.begin)
                       : std::min(at + whole_characters(line.substr(at), 1), line.size());
    } else {
      const std::string text = tokenizer.text_after(previous, token);
      span = words ? span_of_word(line, at, text) : span_of_piece(line, at, text);
    }
    spans.push_back(span);
    at = span.end;
    previous = token;
  }
  return spans;
}

TextExtent text_extent(const std::vector<TextSource>& sources) {
  constexpr std::uint64_t piece = std::uint64_t{1} << 20;
  TextExtent extent;
  const auto count_words = [&](std::string_view text) {
    for_each_word(text, WhiteSpace::unicode, [&](std::string_view) { ++extent.words; });
  };
  for (const TextSource& source : sources) {
    const TextFile file(source);
    extent.bytes += static_cast<std::int64_t>(file.size());
    std::string text;  // begins with what may be the beginning of a word
    char last = '\n';
    for (std::uint64_t at = 0; at < file.size(); at += piece) {
      text += file.read(at, piece);
      last = text.back();
      extent.lines += std::count(text.begin(), text.end(), '\n');
      std::replace(text.begin(), text.end(), '\n', ' ');
      const std::size_t cut = std::min(text.rfind(' '), text.size());
      count_words(std::string_view(text).substr(0, cut));
      text.erase(0, cut);
    }
    count_words(text);
    extent.lines += last == '\n' ? 0 : 1;
  }
  return extent;
}

}  // namespace sluice
