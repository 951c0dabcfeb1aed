#pragma once
// Reading names from a fixed list.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/error.hpp"

namespace sluice {

/// "; did you mean 'a' or 'b'?", or the list of all known names when none is near.
inline std::string suggestion(std::string_view name, const std::vector<std::string>& known) {
  const std::string list = nearest_names(std::string(name), known.data(), known.size());
  if (list.empty()) return fmt::format("known are {}", fmt::join(known, ", "));
  return fmt::format("did you mean {}?", list);
}

/// Index of `name` in `known`. Throws UsageError naming the nearest names.
inline std::size_t parse_name(std::string_view what, std::string_view name,
                              const std::vector<std::string>& known) {
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (known[i] == name) return i;
  }
  throw UsageError(fmt::format("unknown {} '{}'; {}", what, name, suggestion(name, known)));
}

}  // namespace sluice
