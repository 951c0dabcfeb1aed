#include "sluice/text/detail/utf8.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

namespace sluice {

std::size_t valid_text_length(std::string_view text) {
  constexpr std::uint64_t high_bits = 0x8080808080808080U;
  constexpr std::uint64_t low_bits = 0x0101010101010101U;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  std::size_t at = 0;
  while (at < text.size()) {
    // Eight bytes of ASCII without a zero at a time: most text is that.
    while (at + sizeof(std::uint64_t) <= text.size()) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes + at, sizeof word);
      if (((word | (word - low_bits)) & high_bits) != 0) break;
      at += sizeof word;
    }
    if (at == text.size()) break;
    if (bytes[at] == 0) return at;
    if (bytes[at] < 0x80) {
      ++at;
      continue;
    }
    utf8proc_int32_t code_point = 0;
    const utf8proc_ssize_t left = static_cast<utf8proc_ssize_t>(text.size() - at);
    const utf8proc_ssize_t length =
        utf8proc_iterate(bytes + at, std::min<utf8proc_ssize_t>(left, 4), &code_point);
    if (length <= 0) return at;
    at += static_cast<std::size_t>(length);
  }
  return at;
}

std::int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
  });
}

}  // namespace sluice
