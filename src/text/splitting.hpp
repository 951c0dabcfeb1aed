#pragma once
// Cutting lines into words.

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "sluice/base/names.hpp"

namespace sluice {

/// True for ASCII blanks inside a line, '\r' included.
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/// True for a byte that continues a UTF-8 sequence.
constexpr bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

/// `line` without one '\r' at its end.
constexpr std::string_view without_return(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

/// Length of the beginning of `text`, at least `size` bytes unless it is shorter, that ends between
/// characters.
constexpr std::size_t whole_characters(std::string_view text, std::size_t size) {
  std::size_t end = std::min(size, text.size());
  while (end < text.size() && continues_character(text[end])) ++end;
  return end;
}

/// What is encoded at once has no more bytes than this, but for a character's last ones.
inline constexpr std::size_t longest_segment = std::size_t{1} << 16;

/// Length of the first segment of a line that is not empty: blanks and the word after them; longer
/// ones are cut between characters.
constexpr std::size_t segment_length(std::string_view line) {
  const std::size_t limit = std::min(line.size(), longest_segment);
  std::size_t end = 0;
  while (end < limit && is_blank(line[end])) ++end;
  while (end < limit && !is_blank(line[end])) ++end;
  return whole_characters(line, end);
}

/// Calls body(segment) for the segments of a line; together they are the line.
template <class Body>
void for_each_segment(std::string_view line, Body&& body) {
  while (!line.empty()) {
    const std::size_t length = segment_length(line);
    body(line.substr(0, length));
    line.remove_prefix(length);
  }
}

/// Calls body(part) for the parts of `text` of about `size` bytes, cut between characters.
template <class Body>
void for_each_part(std::string_view text, std::size_t size, Body&& body) {
  while (!text.empty()) {
    const std::size_t length = whole_characters(text, size);
    body(text.substr(0, length));
    text.remove_prefix(length);
  }
}

/// What separates words.
enum class WhiteSpace {
  ascii,   ///< ASCII blanks, as tokenizers had it that were made before there was a choice
  unicode  ///< what Unicode calls White_Space: the no-break and the ideographic space, too
};

const EnumNames<WhiteSpace>& enum_names(WhiteSpace);

/// Length in bytes of the white space beyond ASCII that begins `text`, which is not empty; 0: none.
constexpr std::size_t wide_blank_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  switch (byte(0)) {
    case 0xC2:  // U+0085, U+00A0
      return byte(1) == 0x85 || byte(1) == 0xA0 ? 2 : 0;
    case 0xE1:  // U+1680
      return byte(1) == 0x9A && byte(2) == 0x80 ? 3 : 0;
    case 0xE2:  // U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F
      if (byte(1) == 0x81) return byte(2) == 0x9F ? 3 : 0;
      if (byte(1) != 0x80) return 0;
      return (byte(2) >= 0x80 && byte(2) <= 0x8A) || byte(2) == 0xA8 || byte(2) == 0xA9 ||
                     byte(2) == 0xAF
                 ? 3
                 : 0;
    case 0xE3:  // U+3000
      return byte(1) == 0x80 && byte(2) == 0x80 ? 3 : 0;
    default:
      return 0;
  }
}

/// Calls body(word) for what white space beyond ASCII separates in `text`.
template <class Body>
void for_each_wide_word(std::string_view text, Body&& body) {
  std::size_t begin = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t blank = wide_blank_length(text.substr(at));
    if (blank == 0) {
      ++at;
      continue;
    }
    if (at > begin) body(text.substr(begin, at - begin));
    at += blank;
    begin = at;
  }
  if (at > begin) body(text.substr(begin));
}

/// Calls body(word) for the words of a line: what white space separates, cut as segments are.
template <class Body>
void for_each_word(std::string_view line, WhiteSpace space, Body&& body) {
  for_each_segment(line, [&](std::string_view word) {
    while (!word.empty() && is_blank(word.front())) word.remove_prefix(1);
    if (word.empty()) return;
    const bool wide = space == WhiteSpace::unicode &&
                      std::any_of(word.begin(), word.end(),
                                  [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
    if (wide) {
      for_each_wide_word(word, body);
    } else {
      body(word);
    }
  });
}

}  // namespace sluice
