#include "sluice/text/holdout.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "counting.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

void copy_part(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace

HeldOut hold_out(const std::vector<fs::path>& files, double fraction, bool utf8,
                 const fs::path& directory) {
  if (!(fraction > 0 && fraction < 1)) {
    throw UsageError(
        fmt::format("the fraction of the text to hold out must be more than 0 and less than 1, "
                    "got {}",
                    fraction));
  }
  std::uint64_t total = 0;
  for (const fs::path& file : files) total += MappedFile(file).bytes().size();
  const auto kept = total - static_cast<std::uint64_t>(static_cast<double>(total) * fraction);

  HeldOut parts;
  std::uint64_t begin = 0;  // of the file, in the whole text
  for (const fs::path& path : files) {
    const MappedFile file(path);
    const std::string_view text = file.text();
    if (!parts.valid.empty() || begin >= kept) {
      parts.valid.push_back(path);
    } else if (begin + text.size() <= kept) {
      parts.train.push_back(path);
    } else {
      // A line starts at `cut` when it stands behind a line end, so look from the byte before.
      const std::size_t cut = text.find('\n', kept - begin - 1);
      if (cut == std::string_view::npos || cut + 1 == text.size()) {
        parts.train.push_back(path);
      } else {
        // Here, because messages about the copies would name files the user does not know.
        if (utf8) require_text(text, path.string(), 0);
        fs::create_directories(directory);
        copy_part(directory / "train.txt", text.substr(0, cut + 1));
        copy_part(directory / "valid.txt", text.substr(cut + 1));
        parts.train.push_back(directory / "train.txt");
        parts.valid.push_back(directory / "valid.txt");
      }
    }
    begin += text.size();
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
