#pragma once
// Cutting lines into words.

#include <cstddef>
#include <string_view>

namespace sluice {

/// True for ASCII blanks inside a line, '\r' included.
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/// `line` without one '\r' at its end.
constexpr std::string_view without_return(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

/// Calls body(word) for the maximal runs of non-blanks.
template <class Body>
void for_each_word(std::string_view line, Body&& body) {
  std::size_t at = 0;
  while (at < line.size()) {
    while (at < line.size() && is_blank(line[at])) ++at;
    const std::size_t begin = at;
    while (at < line.size() && !is_blank(line[at])) ++at;
    if (at > begin) body(line.substr(begin, at - begin));
  }
}

/// Cuts a line before every blank that follows a non-blank, and pieces longer than 64 KiB between
/// characters, so that what is encoded at once stays bounded. Calls body(segment); the segments
/// together are the line.
template <class Body>
void for_each_segment(std::string_view line, Body&& body) {
  constexpr std::size_t longest = std::size_t{1} << 16;
  while (!line.empty()) {
    std::size_t end = 1;
    while (end < line.size() && end < longest &&
           !(is_blank(line[end]) && !is_blank(line[end - 1]))) {
      ++end;
    }
    while (end < line.size() && (static_cast<unsigned char>(line[end]) & 0xC0U) == 0x80U) ++end;
    body(line.substr(0, end));
    line.remove_prefix(end);
  }
}

}  // namespace sluice
