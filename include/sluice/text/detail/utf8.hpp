#pragma once
// Validating UTF-8 and counting its characters.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

/// U+FEFF in UTF-8, as some programs begin files with.
inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// Length of the longest prefix of `text` that is valid UTF-8 (RFC 3629: no surrogates, no overlong
/// forms, at most U+10FFFF) without NUL bytes: text.size() when all of it is, else the offset of
/// the first byte of the first bad sequence.
std::size_t valid_text_length(std::string_view text);

/// Number of Unicode code points in valid UTF-8; in other bytes, the number of bytes that do not
/// continue a sequence.
std::int64_t count_characters(std::string_view text);

}  // namespace sluice
