#pragma once
// JSON texts read and written: the one place where they are parsed. For rooms and tests, not for
// users of the library.

#include <cstddef>
#include <string>
#include <string_view>

#include "sluice/base/fields.hpp"
#include "sluice/base/value.hpp"

namespace sluice {

/// The most bytes that a file of JSON may have unless it says otherwise.
inline constexpr std::size_t most_json_bytes = std::size_t{16} << 20;

/// What a text may be like: longer or deeper ones, and those of more values, are refused before
/// they cost memory or stack. The defaults bound what a refused text costs to some 50 MB.
struct JsonLimits {
  std::size_t bytes = most_json_bytes;
  int levels = 64;
  std::size_t values = 250'000;
  /// The most bytes of a string, of a name too.
  std::size_t text = std::size_t{1} << 20;
  /// Whether an object may name a field more than once: the last counts.
  bool repeated_fields = true;
  /// Whether the text is a line that `place` names already.
  bool one_line = false;
};

/// A line of a file of JSON lines, which may hold a whole text.
inline constexpr JsonLimits json_line{.text = most_json_bytes, .one_line = true};

/// Throws, as `place` says, "WHERE, line 3, column 14: FAULT" for what is not JSON, a number that
/// is too large for a double or too small to be told from 0 (or has more than 1,000 characters),
/// and a text beyond the limits.
Value parse_json(std::string_view text, const FieldPlace& place, const JsonLimits& limits = {});

/// How the names of an object's fields are ordered.
enum class JsonNames { sorted, as_given };

/// The value as a JSON text, `indent` blanks a level (-1: on one line). Bytes that are no UTF-8
/// become U+FFFD, numbers that are not finite null.
std::string json_text(const Value& value, int indent = -1, JsonNames names = JsonNames::sorted);

}  // namespace sluice
