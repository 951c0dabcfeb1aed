#pragma once
// Files: memory-mapped reading, atomic replacement, advisory locks, checksums.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A file mapped read-only. Throws Error naming the path and the cause (missing, a directory,
/// unreadable).
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Writes a file beside `path` and moves it into place on commit(): write, fsync, rename, fsync of
/// the directory. Without commit() the temporary is removed and `path` is untouched. Every call
/// throws Error naming the path and the cause (a full disk included).
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Writes over what was written at `offset` (a header whose checksums are known at the end).
  void overwrite(std::size_t offset, std::string_view text);
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// Replaces `path` with `text` atomically.
void write_file(const std::filesystem::path& path, std::string_view text);
/// The whole file as a string.
std::string read_file(const std::filesystem::path& path);

/// An exclusive advisory lock on the file DirectoryLock::name in a directory, held until
/// destruction or the end of the process (so kill -9 releases it). Throws Error naming the holder's
/// process when it is taken.
class DirectoryLock {
 public:
  static constexpr const char* name = ".lock";

  explicit DirectoryLock(const std::filesystem::path& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int descriptor_ = -1;
};

/// XXH3 64-bit checksum.
std::uint64_t checksum(const void* data, std::size_t size);
/// `checksum` as 16 lower-case hexadecimal digits.
std::string checksum_hex(const void* data, std::size_t size);
/// checksum_hex of a file's bytes. Throws as MappedFile does.
std::string file_checksum(const std::filesystem::path& path);

/// `checksum` of data that comes in parts.
class RunningChecksum {
 public:
  RunningChecksum();
  ~RunningChecksum();
  RunningChecksum(const RunningChecksum&) = delete;
  RunningChecksum& operator=(const RunningChecksum&) = delete;

  void add(const void* data, std::size_t size);
  /// Of all that was added, as 16 lower-case hexadecimal digits.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice
SLUICE_API_END
