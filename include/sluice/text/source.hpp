#pragma once
// Where text is read from: files, or byte ranges of files.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

struct LineLabels;
class UnpackedText;

/// A file of text, or the bytes [begin, end) of one.
struct TextSource {
  static constexpr std::uint64_t end_of_file = std::numeric_limits<std::uint64_t>::max();

  /// Implicit, so that a path stands for the whole file.
  // NOLINTNEXTLINE(google-explicit-constructor)
  TextSource(std::filesystem::path file, std::uint64_t first = 0, std::uint64_t last = end_of_file)
      : path(std::move(file)), begin(first), end(last) {}

  bool whole() const { return begin == 0 && end == end_of_file; }
  /// What messages call it.
  std::string title() const { return name.empty() ? path.string() : name; }
  bool operator==(const TextSource&) const = default;

  std::filesystem::path path;
  std::uint64_t begin;
  std::uint64_t end;
  /// Where the text came from, when `path` is a copy of what was unpacked; empty: from `path`.
  std::string name;
  /// Of the file's lines, where they have labels.
  std::shared_ptr<const LineLabels> labels;
  /// Of a whole file that may still be growing (InputOptions::in_background).
  std::shared_ptr<const UnpackedText> unpacking;
};

/// The bytes of a source, read piece by piece, so that a text may be larger than memory. A
/// byte-order mark at the start of the file is not part of it. Of a text that is being unpacked
/// each call waits for what it needs, and throws what is wrong with it. Any number of threads may
/// read at once.
class TextFile {
 public:
  /// Throws Error when the file is missing, a directory, not a regular file, or has become shorter
  /// than the range.
  explicit TextFile(const TextSource& source);
  ~TextFile();
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;

  /// Bytes of the text.
  std::uint64_t size() const;
  /// Whether nothing of the text is behind `offset`; size() may have to wait for more.
  bool ends_at(std::uint64_t offset) const;
  /// Offset of the text in the file.
  std::uint64_t begin() const { return begin_; }
  /// TextSource::title().
  const std::string& title() const { return title_; }

  /// Bytes [offset, offset + n) of the text, fewer where it ends before. Throws Error when the file
  /// became shorter since it was opened.
  std::string read(std::uint64_t offset, std::uint64_t n) const;
  /// The checksum (base/file.hpp) of the whole text, in hexadecimal digits.
  std::string checksum() const;

 private:
  class File;
  /// Bytes of the text, of which no more than `n` need be there.
  std::uint64_t available(std::uint64_t n) const;

  std::unique_ptr<const File> file_;
  std::shared_ptr<const UnpackedText> unpacking_;
  std::string title_;
  std::uint64_t begin_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace sluice
SLUICE_API_END
