// Files that are written: whole or not at all, and only where nobody else has put something.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "descriptor.hpp"
#include "sluice/base/detail/readable_file.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/numbers.hpp"

namespace sluice {
namespace {

constexpr std::string_view temporary_mark = ".tmp";
constexpr std::size_t random_digits = 16;
/// Of what is written: no link is followed, no pipe waited for.
constexpr int careful = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

std::filesystem::path directory_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

/// 16 digits that nobody can foresee.
std::string random_name() {
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != static_cast<ssize_t>(sizeof bits)) {
    const int cause = errno;
    throw SystemError(
        fmt::format("cannot get random bytes: {}", std::generic_category().message(cause)), cause);
  }
  return fmt::format("{:016x}", bits);
}

/// Whether `name` is that of a temporary of the file `stem`; of any file when `stem` is empty.
bool is_temporary_of(std::string_view name, std::string_view stem) {
  if (name.size() <= temporary_mark.size() + random_digits) return false;
  const std::string_view digits = name.substr(name.size() - random_digits);
  const std::string_view rest = name.substr(0, name.size() - random_digits);
  return digits.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
         rest.ends_with(temporary_mark) &&
         (stem.empty() || rest.substr(0, rest.size() - temporary_mark.size()) == stem);
}

/// Removes temporaries in `directory` that no process writes any more: they are locked while they
/// are written. What cannot be read or removed is left.
void remove_abandoned(const std::filesystem::path& directory, std::string_view stem) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(directory.c_str()), ::closedir);
  if (!entries) return;
  while (const dirent* entry = ::readdir(entries.get())) {
    if (!is_temporary_of(entry->d_name, stem)) continue;
    const int place = ::dirfd(entries.get());
    const Descriptor file(::openat(place, entry->d_name, O_RDONLY | careful));
    struct stat status {};
    if (file.get() < 0 || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlinkat(place, entry->d_name, 0);
  }
}

/// Opens or makes a regular file to be written in place.
int open_in_place(const std::filesystem::path& path, int flags) {
  Descriptor file(::open(path.c_str(), flags | O_CREAT | careful, 0666));
  if (file.get() < 0) {
    if (errno == ELOOP) {
      throw Error(
          fmt::format("cannot write '{}': it is a symbolic link, which is not followed; "
                      "remove it",
                      path.string()));
    }
    fail_at("open", path, errno);
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_at("open", path, errno);
  if (!S_ISREG(status.st_mode)) {
    throw Error(fmt::format("cannot write '{}': it is not a regular file", path.string()));
  }
  return file.release();
}

/// Who holds a lock, as its file says.
std::string holder_of(int descriptor) {
  constexpr std::size_t most_digits = 10;
  std::string text(most_digits, '\0');
  const ssize_t count = ::pread(descriptor, text.data(), text.size(), 0);
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  const auto process = whole_number(text);
  return process ? fmt::format("process {}", *process) : "another process";
}

}  // namespace

void fail_at(const char* operation, const std::filesystem::path& path, int cause) {
  throw SystemError(fmt::format("cannot {} '{}': {}", operation, path.string(),
                                std::generic_category().message(cause)),
                    cause);
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void OutputFile::require_open() const {
  if (descriptor_ >= 0) return;
  throw Error(fmt::format("cannot write '{}': it is already committed", path_.string()));
}

void OutputFile::write(const void* data, std::size_t size) {
  require_open();
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(descriptor_, next, std::min(size, std::size_t{1} << 30));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_at("write", path_, errno);
    }
    next += written;
    size -= static_cast<std::size_t>(written);
  }
}

void require_replaceable(const std::filesystem::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return;  // making it says what is wrong
    fail_at("write", path, errno);
  }
  // A link is replaced, but not one that is part of the system, as /dev/stdout is.
  const bool link = S_ISLNK(status.st_mode);
  if (link) {
    if (::stat(path.c_str(), &status) != 0) return;  // it leads nowhere
    std::error_code ignored;
    const auto target = std::filesystem::read_symlink(path, ignored);
    const bool opened = target.native().starts_with("/proc/");
    if (S_ISDIR(status.st_mode) || (S_ISREG(status.st_mode) && !opened)) return;
  } else if (S_ISREG(status.st_mode)) {
    return;
  }
  const char* const kind = S_ISDIR(status.st_mode)    ? "directory"
                           : S_ISFIFO(status.st_mode) ? "pipe"
                           : S_ISSOCK(status.st_mode) ? "socket"
                           : S_ISREG(status.st_mode)  ? "file that is open"
                                                      : "device";
  throw Error(fmt::format("cannot write '{}': it is a {}{}, expected a file or none", path.string(),
                          link ? "link to a " : "", kind));
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : OutputFile(path) {
  require_replaceable(path);
  const std::filesystem::path directory = directory_of(path);
  remove_abandoned(directory, path.filename().native());
  // Another process may be in the way once or twice, not for ever.
  constexpr int most_tries = 100;
  for (int tries = 0; tries < most_tries; ++tries) {
    temporary_ = path;
    temporary_ += std::string(temporary_mark) + random_name();
    Descriptor file(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | careful, 0666));
    if (file.get() < 0) {
      if (errno == EEXIST) continue;
      fail_at("create", path, errno);
    }
    // Between opening and locking, another process may take it for abandoned.
    struct stat status {};
    const bool locked = ::flock(file.get(), LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno != EWOULDBLOCK) {
      const int cause = errno;
      ::unlink(temporary_.c_str());
      fail_at("lock", path, cause);
    }
    if (!locked || ::fstat(file.get(), &status) != 0 || status.st_nlink == 0) {
      ::unlink(temporary_.c_str());
      continue;
    }
    descriptor_ = file.release();
    return;
  }
  fail_at("create", path, EAGAIN);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::unlink(temporary_.c_str());
}

bool AtomicFile::is_temporary(std::string_view name) { return is_temporary_of(name, ""); }

void AtomicFile::overwrite(std::size_t offset, std::string_view text) {
  require_open();
  while (!text.empty()) {
    const ssize_t written =
        ::pwrite(descriptor_, text.data(), text.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_at("write", path_, errno);
    }
    text.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  require_open();
  if (::fsync(descriptor_) != 0) fail_at("write", path_, errno);
  require_replaceable(path_);  // put there meanwhile
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_at("replace", path_, errno);
  ::close(std::exchange(descriptor_, -1));
  const std::filesystem::path directory = directory_of(path_);
  const Descriptor parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.get() < 0) fail_at("open", directory, errno);
  // Some file systems cannot sync a directory and say EINVAL; their renames are as durable as they
  // get.
  if (::fsync(parent.get()) != 0 && errno != EINVAL) fail_at("write", directory, errno);
}

ScratchFile::ScratchFile() : OutputFile({}) {
  std::error_code ignored;
  std::filesystem::path directory = std::filesystem::temp_directory_path(ignored);
  if (directory.empty()) directory = "/tmp";
  path_ = directory / "sluice-tokens";
  descriptor_ = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
  if (descriptor_ >= 0) return;
  // A file system without files that have no name: the name is taken away at once.
  if (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT) {
    const std::filesystem::path name = directory / ("sluice-" + random_name());
    descriptor_ = ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | careful, 0600);
    if (descriptor_ >= 0) ::unlink(name.c_str());
  }
  if (descriptor_ < 0) {
    const int cause = errno;
    throw SystemError(fmt::format("cannot make a temporary file in '{}': {}", directory.string(),
                                  std::generic_category().message(cause)),
                      cause);
  }
}

ReadableFile ScratchFile::reader() const {
  const int copy = ::fcntl(descriptor_, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) fail_at("read", path_, errno);
  return {path_, copy};
}

std::filesystem::path ScratchFile::path() const {
  return fmt::format("/proc/self/fd/{}", descriptor_);
}

AppendFile::AppendFile(const std::filesystem::path& path, std::size_t size)
    : OutputFile(path), size_(size) {
  Descriptor file(open_in_place(path, O_RDWR | O_APPEND));
  if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) fail_at("truncate", path, errno);
  descriptor_ = file.release();
}

void AppendFile::append(std::string_view text) {
  try {
    write(text);
  } catch (const Error&) {  // thrown on
    // A failed repair leaves a part of it, which readers of such files pass over.
    [[maybe_unused]] const int repaired = ::ftruncate(descriptor_, static_cast<off_t>(size_));
    throw;
  }
  size_ += text.size();
}

void AppendFile::sync() {
  if (::fsync(descriptor_) != 0) fail_at("sync", path_, errno);
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

DirectoryLock::DirectoryLock(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / name;
  Descriptor file(open_in_place(path, O_RDWR));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) fail_at("lock", directory, errno);
    throw Error(
        fmt::format("cannot use '{}': {} holds it; wait for it to end or choose another directory",
                    directory.string(), holder_of(file.get())));
  }
  const std::string self = std::to_string(::getpid());
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), self.data(), self.size(), 0) != static_cast<ssize_t>(self.size())) {
    fail_at("lock", directory, errno);
  }
  remove_abandoned(directory, "");
  descriptor_ = file.release();
}

DirectoryLock::~DirectoryLock() {
  // The file stays: removing it would let two processes lock two files of the same name.
  ::close(descriptor_);
}

}  // namespace sluice
