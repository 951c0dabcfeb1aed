#include "json_scan.hpp"

#include <fmt/format.h>

#include <array>

#include "core/visible.hpp"
#include "sluice/base/numbers.hpp"

namespace sluice {
namespace {

constexpr std::size_t longest_number = 1000;
constexpr std::size_t most_blanks = std::size_t{1} << 20;
/// Of shorter strings the parser says more.
constexpr std::size_t long_string = std::size_t{1} << 16;

/// What a character may belong to outside of strings.
enum class CharacterClass : unsigned char { other, number, blank };
constexpr auto classes = [] {
  std::array<CharacterClass, 256> table{};
  for (const char c : std::string_view("+-.0123456789Ee")) {
    table[static_cast<unsigned char>(c)] = CharacterClass::number;
  }
  for (const char c : std::string_view(" \t\r\n")) {
    table[static_cast<unsigned char>(c)] = CharacterClass::blank;
  }
  return table;
}();
constexpr CharacterClass class_of(char c) { return classes[static_cast<unsigned char>(c)]; }

/// The end of the string whose quote stands at `begin`: behind its other quote, or the text's.
std::size_t string_end(std::string_view text, std::size_t begin, std::size_t most) {
  std::size_t at = begin + 1;
  for (; at < text.size() && at - begin <= most + 2; ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return std::min(at, text.size());
}

/// Bytes of the escape that begins at `at`; 0 when it is none.
std::size_t escape_bytes(std::string_view text, std::size_t at) {
  constexpr std::string_view letters = "\"\\/bfnrt";
  constexpr std::size_t long_escape = 6;
  if (at + 1 >= text.size()) return 0;
  if (letters.find(text[at + 1]) != std::string_view::npos) return 2;
  const std::string_view digits = text.substr(at + 2, long_escape - 2);
  const bool whole = digits.size() == long_escape - 2 &&
                     digits.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
  return text[at + 1] == 'u' && whole ? long_escape : 0;
}

/// What the string within [begin, end) must not have.
std::optional<JsonFault> string_fault(std::string_view text, std::size_t begin, std::size_t end) {
  std::size_t at = begin + 1;
  const auto fault = [&](const char* what) { return JsonFault{begin, at, what}; };
  while (at < end && text[at] != '"') {
    if (static_cast<unsigned char>(text[at]) < ' ') {
      return fault("a string has a control character, which must be escaped");
    }
    const bool escape = text[at] == '\\';
    const std::size_t size = escape ? escape_bytes(text, at) : character_bytes(text.substr(at));
    if (size == 0) return fault(escape ? "a string has no such escape" : "a string is not UTF-8");
    at += size;
  }
  if (at >= end) return fault("a string has no end");
  return std::nullopt;
}

}  // namespace

std::optional<JsonFault> scan_json(std::string_view text, std::size_t most_text) {
  for (std::size_t at = 0; at < text.size();) {
    const char first = text[at];
    std::size_t end = at + 1;
    const auto too_long = [&](const char* what, std::size_t most) {
      return JsonFault{at, at,
                       fmt::format("{} is longer than {} characters", what,
                                   grouped(static_cast<std::int64_t>(most)))};
    };
    if (first == '"') {
      end = string_end(text, at, most_text);
      if (end - at > most_text + 2) return too_long("a string", most_text);
      if (end - at > long_string) {
        if (auto fault = string_fault(text, at, end)) return fault;
      }
    } else if (const CharacterClass run = class_of(first); run != CharacterClass::other) {
      const bool number = run == CharacterClass::number;
      const std::size_t most = number ? longest_number : most_blanks;
      while (end < text.size() && end - at <= most && class_of(text[end]) == run) ++end;
      if (end - at > most) return too_long(number ? "a number" : "white space", most);
    }
    at = end;
  }
  return std::nullopt;
}

}  // namespace sluice
