#include "sluice/text/holdout.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "sluice/base/error.hpp"

namespace sluice {

HeldOut hold_out(const std::vector<TextSource>& sources, double fraction) {
  if (!(fraction > 0 && fraction < 1)) {
    throw UsageError(
        fmt::format("the fraction of the text to hold out must be more than 0 and less than 1, "
                    "got {}",
                    fraction));
  }
  std::uint64_t total = 0;
  for (const TextSource& source : sources) total += MappedText(source).text().size();
  const auto kept = total - static_cast<std::uint64_t>(static_cast<double>(total) * fraction);

  HeldOut parts;
  std::uint64_t before = 0;  // bytes of the sources before this one
  for (const TextSource& source : sources) {
    const MappedText mapped(source);
    const std::string_view text = mapped.text();
    if (!parts.valid.empty() || before >= kept) {
      parts.valid.push_back(source);
    } else if (before + text.size() <= kept) {
      parts.train.push_back(source);
    } else {
      // A line begins at kept - before if a line end precedes it, so search from the byte before.
      const std::size_t line_end = text.find('\n', kept - before - 1);
      if (line_end == std::string_view::npos || line_end + 1 == text.size()) {
        parts.train.push_back(source);
      } else {
        const std::uint64_t cut = mapped.begin() + line_end + 1;
        parts.train.emplace_back(source.path, mapped.begin(), cut);
        parts.valid.emplace_back(source.path, cut, mapped.begin() + text.size());
      }
    }
    before += text.size();
  }
  if (parts.train.empty() || parts.valid.empty()) {
    throw Error(
        fmt::format("cannot hold out the last {:g}% of the training text: no line starts there; "
                    "give a validation file, or hold out nothing",
                    100 * fraction));
  }
  return parts;
}

}  // namespace sluice
