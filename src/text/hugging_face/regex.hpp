#pragma once
// Regular expressions over UTF-8, as tokenizers of others have them.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// A compiled pattern with Unicode's properties. Any number of threads may search at once.
class Regex {
 public:
  /// Throws Error naming the pattern and the fault.
  explicit Regex(const std::string& pattern);
  /// The text itself, rather than a pattern.
  static Regex literal(std::string_view text);

  /// Begin and end of the matches that are not empty, left to right. Throws Error when the search
  /// takes too many steps.
  std::vector<std::pair<std::size_t, std::size_t>> find_all(std::string_view text) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

}  // namespace sluice
