#pragma once
// Texts as users have them: files and directories, compressed or not, standard input, JSON lines.

#include <filesystem>
#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/progress.hpp"
#include "sluice/text/source.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How texts are to be read.
struct InputOptions {
  /// Patterns with *, ? and [] (fnmatch) for the files of directories: their names, or their paths
  /// below the directory, of which * matches any part. Empty: all files.
  std::vector<std::string> include = {};
  /// Not empty: files are JSON lines, of which this field is the text.
  std::string field = {};
  /// Not empty: what labels each text. With `field` the name of another field of the JSON lines, a
  /// string or a number; else the number, from 1, of a column of lines that tabs separate, whose
  /// last column is the text. The sources have labels then, an empty one where it is empty.
  std::string condition = {};
  /// Any bytes are text, as for the byte tokenizer: no file of a directory is left out.
  bool any_bytes = false;
  /// A thread of its own unpacks compressed files that get no name while they are read: for a
  /// caller that reads each once, from its beginning. Reading throws what is wrong with them then.
  bool in_background = false;
};

class BackgroundUnpacker;

/// The texts behind paths, as plain files. A path is a file; a directory, for all regular files
/// below it, sorted by path, names starting with a dot left out; a pipe; or "-", standard input.
/// What is compressed (gzip, bzip2, xz, zstd: told by content, not by name), comes from a pipe or
/// is JSON lines or labelled is unpacked into a file in `directory`, named after its path and
/// removed with this object; without a directory, into one without a name in $TMPDIR or /tmp.
/// Memory stays bounded. Files of a directory that are not text (NUL bytes or invalid UTF-8 in
/// their first 64 KiB) are left out. One thread at a time.
class TextInputs {
 public:
  /// Throws Error for a path that does not exist or cannot be read, a device, a directory without
  /// files to read, compressed data that are damaged or cut short, a NUL byte in what is unpacked
  /// (unless any bytes will do), a line that is no JSON object or lacks a field or column, and a
  /// full disk; UsageError for a condition that is no column.
  TextInputs(const std::vector<std::filesystem::path>& paths, const InputOptions& options,
             const std::filesystem::path& directory, const Progress& progress = {});
  ~TextInputs();
  TextInputs(const TextInputs&) = delete;
  TextInputs& operator=(const TextInputs&) = delete;

  const std::vector<TextSource>& sources() const { return sources_; }
  /// The files of directories that were left out because they are not text.
  const std::vector<std::filesystem::path>& skipped() const { return skipped_; }
  /// "2 files are not text and were left out: a.png, b.bin", naming at most a few; empty: none
  /// were.
  std::string skipped_note() const;

 private:
  std::vector<TextSource> sources_;
  std::vector<std::filesystem::path> skipped_;
  std::vector<std::filesystem::path> unpacked_;
  std::vector<std::unique_ptr<ScratchFile>> scratch_;
  std::unique_ptr<BackgroundUnpacker> unpacker_;  // of those; it ends before them
};

/// A text as a stream, unpacked when it is compressed, without a byte-order mark; "-" is standard
/// input. in_avail() > 0 says that reading would not wait. Throws Error as TextInputs does, from
/// reads too, and for a line of more than 16 MiB.
std::unique_ptr<std::istream> open_text(const std::filesystem::path& path);

}  // namespace sluice
SLUICE_API_END
