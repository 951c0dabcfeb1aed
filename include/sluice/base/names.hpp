#pragma once
// Names a person wrote, looked up in the list of those that are known.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Names of `known` nearest to `name` by edit distance, best first, at most `most`: "a", "a or b".
/// Empty when nothing is near.
std::string nearest_names(std::string_view name, const std::vector<std::string>& known,
                          std::size_t most = 3);

/// What to say of an unknown name: "did you mean a or b?", or where nothing is near
/// "known are a, b, c".
std::string suggestion(std::string_view name, const std::vector<std::string>& known);

/// Index of `name` in `known`. Throws UsageError, "unknown WHAT 'name'; " and the suggestion.
std::size_t parse_name(std::string_view what, std::string_view name,
                       const std::vector<std::string>& known);

}  // namespace sluice
