#pragma once
// Files: memory-mapped reading, atomic replacement, appending, advisory locks, checksums.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A file mapped read-only. Throws Error naming the path and the cause: SystemError where the
/// system refuses it (missing, unreadable), else for what is no regular file. Whoever makes the
/// file shorter while it is mapped makes reading it raise SIGBUS: see mapped_file_at(). Any number
/// of threads may read one at once.
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

class ReadableFile;

/// The name of the mapped file that has the byte at `address`; null when there is none, or when
/// more files are mapped than are kept track of (64). For a program's handler of SIGBUS: safe in a
/// signal handler.
const char* mapped_file_at(const void* address) noexcept;

/// A file that is being written. Every call throws SystemError naming the path and the cause (a
/// full disk included). One thread at a time.
class OutputFile {
 public:
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, std::size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }

 protected:
  explicit OutputFile(std::filesystem::path path) : path_(std::move(path)) {}
  ~OutputFile();
  /// Throws Error once the file is not open any more.
  void require_open() const;

  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// Throws Error when something is at `path` that AtomicFile does not replace: a device, pipe,
/// socket or directory, a link to one of the first three, or to what a process has open
/// (/dev/stdout). For asking before long work.
void require_replaceable(const std::filesystem::path& path);

/// Writes a file beside `path` and moves it into place on commit(): write, fsync, rename, fsync of
/// the directory. Without commit() the temporary is removed and `path` is untouched. Throws Error
/// as require_replaceable() does, at the beginning and at commit().
///
/// The temporary's name ("PATH.tmp" and 16 random digits) cannot be foreseen, and it is made anew:
/// no link or pipe that somebody put there is followed, and a link at `path` is replaced, not what
/// it leads to. Temporaries of `path` that a killed process left are removed. One thread at a time.
class AtomicFile : public OutputFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();

  /// Whether a file of that name is what a killed process may have left.
  static bool is_temporary(std::string_view name);

  /// Writes over what was written at `offset` (a header whose checksums are known at the end).
  void overwrite(std::size_t offset, std::string_view text);
  void commit();

 private:
  std::filesystem::path temporary_;
};

/// A file without a name in the directory for temporary files ($TMPDIR or /tmp): whatever ends the
/// process, nothing of it is left. One thread at a time; any number may read through reader().
class ScratchFile : public OutputFile {
 public:
  ScratchFile();
  /// Reads what was written so far; the file lives as long as its readers.
  ReadableFile reader() const;
  /// A name for it that is good in this process, as long as this object lives.
  std::filesystem::path path() const;
};

/// A regular file that grows by what is appended, all of it or nothing. Throws Error naming the
/// path and the cause; also for a link, which is not followed, and for what is no regular file. One
/// thread at a time.
class AppendFile : public OutputFile {
 public:
  /// Opens or makes `path` and cuts it to its first `size` bytes.
  AppendFile(const std::filesystem::path& path, std::size_t size);
  void append(std::string_view text);
  /// Returns when all of it is on the disk.
  void sync();

 private:
  std::size_t size_;
};

/// Whether `name`, which a file or a person gave, names an entry of a directory and nothing
/// outside: neither empty nor "." or "..", without a slash.
bool is_plain_name(std::string_view name);

/// Whether there is anything at `path`, or where a link there leads. Throws SystemError where that
/// cannot be found out: what cannot be looked at is not absent.
bool is_there(const std::filesystem::path& path);

/// Replaces `path` with `text` atomically.
void write_file(const std::filesystem::path& path, std::string_view text);
/// The whole file as a string. Throws Error as MappedFile does, and when it has more than `most`
/// bytes (of a file that somebody else may have made, say how many), which are not read then.
std::string read_file(const std::filesystem::path& path,
                      std::size_t most = std::numeric_limits<std::ptrdiff_t>::max());

/// Calls line(text, whole) for each line of a file, without its end and in order; what follows the
/// last end is left out. Of a line of more than `most` bytes its first ones are given, and `whole`
/// is false. The file is read in parts. Throws Error as MappedFile does.
void for_each_line(const std::filesystem::path& path, std::size_t most,
                   const std::function<void(std::string_view text, bool whole)>& line);

/// An exclusive advisory lock on the file DirectoryLock::name in a directory, held until
/// destruction or the end of the process (so kill -9 releases it). Throws Error naming the holder's
/// process when it is taken, and when a link or a pipe is in its place. Temporaries that killed
/// processes left in the directory are removed. One thread at a time.
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

/// `checksum` of data that comes in parts. One thread at a time.
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
