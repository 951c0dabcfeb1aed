#pragma once
// What messages show of texts that others wrote.

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

/// Bytes of the UTF-8 character that `text`, which is not empty, begins with; 0 when it begins with
/// none.
std::size_t character_bytes(std::string_view text);

/// Appends the character of `text` that begins at byte `at`, shown as \n or \x1b when it is a
/// control character or no UTF-8; returns how many bytes it takes.
std::size_t append_visible(std::string& out, std::string_view text, std::size_t at);

}  // namespace sluice
