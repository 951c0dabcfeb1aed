#pragma once
// A file read at any place without mapping it: address space stays small, however large the file,
// and a file that shrinks while it is read is an error rather than a signal.

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace sluice {

/// A regular file, open for reading. Any number of threads may read at once.
class ReadableFile {
 public:
  /// Throws Error naming the path and the cause (missing, a directory, no regular file).
  explicit ReadableFile(const std::filesystem::path& path);
  ~ReadableFile();
  ReadableFile(ReadableFile&& other) noexcept;
  ReadableFile& operator=(ReadableFile&& other) noexcept;

  /// Bytes in the file when it was opened.
  std::uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

  /// Copies bytes [offset, offset + n) to `out`. Throws Error when they are not all there.
  void read(std::uint64_t offset, void* out, std::size_t n) const;

 private:
  friend class ScratchFile;
  /// Of an open descriptor, which becomes its own.
  ReadableFile(std::filesystem::path path, int descriptor);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace sluice
