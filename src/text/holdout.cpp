#include "sluice/text/detail/holdout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "sluice/base/error.hpp"
#include "splitting.hpp"

namespace sluice {
namespace {

/// Offset of the first line that starts at `from` or after it; nothing when none does. from > 0.
std::optional<std::uint64_t> line_start(const TextFile& file, std::uint64_t from) {
  constexpr std::uint64_t piece = std::uint64_t{1} << 20;
  // A line begins at `from` if a line end precedes it, so search from the byte before.
  for (std::uint64_t at = from - 1; at < file.size(); at += piece) {
    const std::size_t found = file.read(at, piece).find('\n');
    if (found == std::string::npos) continue;
    const std::uint64_t start = at + found + 1;
    if (start == file.size()) return std::nullopt;
    return start;
  }
  return std::nullopt;
}

/// Offset of the first document that starts at `from` or after it, behind an empty line; nothing
/// when none does. from > 0.
std::optional<std::uint64_t> document_start(const TextFile& file, std::uint64_t from) {
  constexpr std::uint64_t piece = std::uint64_t{1} << 20;
  bool line_is_empty = false;  // what is before may be in the middle of a line
  bool blank = false;
  for (std::uint64_t at = from - 1; at < file.size(); at += piece) {
    const std::string bytes = file.read(at, piece);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (bytes[i] == '\n') {
        blank = blank || line_is_empty;
        line_is_empty = true;
      } else if (bytes[i] != '\r') {
        if (blank && line_is_empty) return at + i;
        line_is_empty = blank = false;
      }
    }
  }
  return std::nullopt;
}

/// Where a line that reaches from before `from` to the end of the text may be cut: before the next
/// blank, or between characters where there is none for long; nothing at the text's very end.
std::optional<std::uint64_t> place_in_line(const TextFile& file, std::uint64_t from) {
  std::string rest = file.read(from - 1, longest_segment);
  if (from - 1 + rest.size() == file.size() && rest.ends_with('\n')) rest.pop_back();
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (is_blank(rest[i]) && !is_blank(rest[i - 1])) return from - 1 + i;
  }
  const std::size_t between = whole_characters(rest, 1);
  if (between >= rest.size()) return std::nullopt;
  return from - 1 + between;
}

}  // namespace

HeldOut hold_out(const std::vector<TextSource>& sources, double fraction, DocumentEnd documents) {
  if (!(fraction > 0 && fraction < 1)) {
    throw UsageError(
        fmt::format("the fraction of the text to hold out must be more than 0 and less than 1, "
                    "got {}",
                    fraction));
  }
  std::uint64_t total = 0;
  for (const TextSource& source : sources) total += TextFile(source).size();
  const auto kept = total - static_cast<std::uint64_t>(static_cast<double>(total) * fraction);

  HeldOut parts;
  const auto cut = [&](const TextSource& source, const TextFile& file, std::uint64_t at) {
    TextSource before = source;
    TextSource after = source;
    before.begin = file.begin();
    before.end = after.begin = file.begin() + at;
    after.end = file.begin() + file.size();
    parts.train.push_back(before);
    parts.valid.push_back(after);
  };
  std::uint64_t before = 0;  // bytes of the sources before this one
  for (const TextSource& source : sources) {
    const TextFile file(source);
    if (!parts.valid.empty() || before >= kept) {
      parts.valid.push_back(source);
    } else if (before + file.size() <= kept) {
      parts.train.push_back(source);
    } else if (documents == DocumentEnd::files && sources.size() > 1) {
      (parts.train.empty() ? parts.train : parts.valid).push_back(source);
    } else {
      std::optional<std::uint64_t> at;
      if (documents == DocumentEnd::blank_lines) at = document_start(file, kept - before);
      if (!at) at = line_start(file, kept - before);
      if (!at && before + file.size() == total) at = place_in_line(file, kept - before);
      if (at) {
        cut(source, file, *at);
      } else {
        parts.train.push_back(source);
      }
    }
    before += file.size();
  }
  if (parts.train.empty() || parts.valid.empty()) {
    throw Error(
        fmt::format("cannot hold out the last {:g}% of the training text: there is no place "
                    "to cut it; give a validation file, or hold out nothing (a fraction of 0)",
                    100 * fraction));
  }
  return parts;
}

}  // namespace sluice
