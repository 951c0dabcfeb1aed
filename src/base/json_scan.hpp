#pragma once
// What a JSON text is refused for before the parser sees it, which would copy it several times
// over.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// What is wrong at a byte of a text, within a token that begins at `token`.
struct JsonFault {
  std::size_t token = 0, byte = 0;
  std::string what;
};

/// The first number of more than 1,000 characters, the first string of more than `most_text` bytes,
/// or of more than 64 kB with something in it that no string may have, the first stretch of more
/// than a megabyte of white space; nothing when there is none.
std::optional<JsonFault> scan_json(std::string_view text, std::size_t most_text);

}  // namespace sluice
