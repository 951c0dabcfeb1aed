#pragma once
// Where text is read from: files, or byte ranges of files.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string_view>
#include <utility>

#include "sluice/base/api.hpp"
#include "sluice/base/file.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A file of text, or the bytes [begin, end) of one.
struct TextSource {
  static constexpr std::uint64_t end_of_file = std::numeric_limits<std::uint64_t>::max();

  /// Implicit, so that a path stands for the whole file.
  // NOLINTNEXTLINE(google-explicit-constructor)
  TextSource(std::filesystem::path file, std::uint64_t first = 0, std::uint64_t last = end_of_file)
      : path(std::move(file)), begin(first), end(last) {}

  bool whole() const { return begin == 0 && end == end_of_file; }
  bool operator==(const TextSource&) const = default;

  std::filesystem::path path;
  std::uint64_t begin;
  std::uint64_t end;
};

/// The bytes of a source, mapped read-only.
class MappedText {
 public:
  /// Throws Error as MappedFile does, and when the file has become shorter than the range.
  explicit MappedText(const TextSource& source);

  std::string_view text() const { return text_; }
  const std::filesystem::path& path() const { return file_.path(); }
  /// Offset of text() in the file.
  std::uint64_t begin() const { return begin_; }

 private:
  MappedFile file_;
  std::uint64_t begin_;
  std::string_view text_;
};

}  // namespace sluice
SLUICE_API_END
