#include "sluice/base/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "sluice/base/detail/readable_file.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

[[noreturn]] void fail(const char* operation, const std::filesystem::path& path, int cause) {
  throw Error(fmt::format("cannot {} '{}': {}", operation, path.string(),
                          std::generic_category().message(cause)));
}

/// Closes a descriptor unless released.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

struct stat status_of(int descriptor, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail("read", path, errno);
  if (S_ISDIR(status.st_mode)) {
    throw Error(fmt::format("cannot read '{}': it is a directory, expected a file", path.string()));
  }
  return status;
}

/// The size of a regular file; throws for anything else.
std::uint64_t regular_size(int descriptor, const std::filesystem::path& path) {
  const struct stat status = status_of(descriptor, path);
  if (!S_ISREG(status.st_mode)) {
    throw Error(fmt::format("cannot read '{}': it is not a regular file", path.string()));
  }
  return static_cast<std::uint64_t>(status.st_size);
}

int open_to_read(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not hang.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail("read", path, errno);
  return descriptor;
}

std::filesystem::path directory_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const Descriptor file(open_to_read(path));
  size_ = static_cast<std::size_t>(regular_size(file.get(), path));
  if (size_ == 0) return;  // mmap refuses empty mappings
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) fail("map", path, errno);
  data_ = static_cast<const std::byte*>(mapped);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

ReadableFile::ReadableFile(const std::filesystem::path& path) : path_(path) {
  Descriptor file(open_to_read(path));
  size_ = regular_size(file.get(), path);
  descriptor_ = file.release();
}

ReadableFile::~ReadableFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

ReadableFile::ReadableFile(ReadableFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

ReadableFile& ReadableFile::operator=(ReadableFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  return *this;
}

void ReadableFile::read(std::uint64_t offset, void* out, std::size_t n) const {
  auto* next = static_cast<char*>(out);
  while (n > 0) {
    const ssize_t got =
        ::pread(descriptor_, next, std::min(n, std::size_t{1} << 30), static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      fail("read", path_, errno);
    }
    if (got == 0) {
      throw Error(
          fmt::format("cannot read '{}': it ends before byte {}; it was changed while in use",
                      path_.string(), offset + n));
    }
    next += got;
    offset += static_cast<std::uint64_t>(got);
    n -= static_cast<std::size_t>(got);
  }
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  // A temporary is locked while it is written. One that is not locked was left by a process that
  // died: it is used again, so that killed runs leave no more than one behind.
  for (int attempt = 0;;) {
    temporary_ = path;
    temporary_ += attempt == 0 ? std::string(".tmp") : fmt::format(".tmp{}", attempt);
    Descriptor file(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
    if (file.get() < 0) fail("create", temporary_, errno);
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) fail("lock", temporary_, errno);
      ++attempt;
      continue;
    }
    struct stat opened {};
    struct stat named {};
    if (::fstat(file.get(), &opened) != 0) fail("create", temporary_, errno);
    const bool still_there = ::stat(temporary_.c_str(), &named) == 0 &&
                             named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
    if (!still_there) continue;  // its writer moved it into place between our open and lock
    if (::ftruncate(file.get(), 0) != 0) fail("truncate", temporary_, errno);
    descriptor_ = file.release();
    return;
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(descriptor_);
}

void AtomicFile::write(const void* data, std::size_t size) {
  if (descriptor_ < 0) {
    throw Error(fmt::format("cannot write '{}': it is already committed", path_.string()));
  }
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(descriptor_, next, std::min(size, std::size_t{1} << 30));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("write", path_, errno);
    }
    next += written;
    size -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::overwrite(std::size_t offset, std::string_view text) {
  if (descriptor_ < 0) {
    throw Error(fmt::format("cannot write '{}': it is already committed", path_.string()));
  }
  while (!text.empty()) {
    const ssize_t written =
        ::pwrite(descriptor_, text.data(), text.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("write", path_, errno);
    }
    text.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  if (descriptor_ < 0) {
    throw Error(fmt::format("cannot write '{}': it is already committed", path_.string()));
  }
  if (::fsync(descriptor_) != 0) fail("write", path_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("replace", path_, errno);
  ::close(std::exchange(descriptor_, -1));
  const std::filesystem::path directory = directory_of(path_);
  const Descriptor parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.get() < 0) fail("open", directory, errno);
  // Some file systems cannot sync a directory and say EINVAL; their renames are as durable as they
  // get.
  if (::fsync(parent.get()) != 0 && errno != EINVAL) fail("write", directory, errno);
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

std::string read_file(const std::filesystem::path& path) {
  const Descriptor file(open_to_read(path));
  const struct stat status = status_of(file.get(), path);
  std::string text;
  std::size_t used = 0;
  // One byte more than the file says it has, so that the usual case ends without growing.
  text.resize(static_cast<std::size_t>(status.st_size) + 1);
  for (;;) {
    if (used == text.size()) text.resize(2 * text.size());
    const ssize_t count = ::read(file.get(), text.data() + used, text.size() - used);
    if (count < 0) {
      if (errno == EINTR) continue;
      fail("read", path, errno);
    }
    if (count == 0) break;
    used += static_cast<std::size_t>(count);
  }
  text.resize(used);
  return text;
}

DirectoryLock::DirectoryLock(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / name;
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (file.get() < 0) fail("lock", directory, errno);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) fail("lock", directory, errno);
    std::string holder = read_file(path);
    throw Error(fmt::format(
        "cannot use '{}': {} holds it; wait for it to end or choose another directory",
        directory.string(), holder.empty() ? std::string("another process") : "process " + holder));
  }
  const std::string self = std::to_string(::getpid());
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), self.data(), self.size(), 0) != static_cast<ssize_t>(self.size())) {
    fail("lock", directory, errno);
  }
  descriptor_ = file.release();
}

DirectoryLock::~DirectoryLock() {
  // The file stays: removing it would let two processes lock two files of the same name.
  ::close(descriptor_);
}

std::uint64_t checksum(const void* data, std::size_t size) { return XXH3_64bits(data, size); }

std::string checksum_hex(const void* data, std::size_t size) {
  return fmt::format("{:016x}", checksum(data, size));
}

std::string file_checksum(const std::filesystem::path& path) {
  const MappedFile file(path);
  return checksum_hex(file.bytes().data(), file.bytes().size());
}

struct RunningChecksum::State {
  XXH3_state_t* xxh3 = XXH3_createState();
  State() {
    if (xxh3 == nullptr) throw std::bad_alloc();
    XXH3_64bits_reset(xxh3);
  }
  ~State() { XXH3_freeState(xxh3); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

RunningChecksum::RunningChecksum() : state_(std::make_unique<State>()) {}
RunningChecksum::~RunningChecksum() = default;

void RunningChecksum::add(const void* data, std::size_t size) {
  XXH3_64bits_update(state_->xxh3, data, size);
}

std::string RunningChecksum::hex() const {
  return fmt::format("{:016x}", XXH3_64bits_digest(state_->xxh3));
}

}  // namespace sluice
