#include "sluice/base/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "descriptor.hpp"
#include "sluice/base/detail/readable_file.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"

namespace sluice {
namespace {

/// A file that is mapped, as mapped_file_at() finds it.
struct Mapping {
  /// Null while the place is free, `taken` while it is filled.
  std::atomic<const std::byte*> data{nullptr};
  std::atomic<std::size_t> size{0};
  std::array<char, 512> name{};
};

const std::byte taken{};
std::array<Mapping, 64> mappings;

void enter(const std::filesystem::path& path, const std::byte* data, std::size_t size) {
  for (Mapping& mapping : mappings) {
    const std::byte* expected = nullptr;
    if (!mapping.data.compare_exchange_strong(expected, &taken)) continue;
    const std::string& name = path.native();
    const std::size_t length = std::min(name.size(), mapping.name.size() - 1);
    std::memcpy(mapping.name.data(), name.data(), length);
    mapping.name.at(length) = '\0';
    mapping.size.store(size);
    mapping.data.store(data);
    return;
  }
}

void forget(const std::byte* data) {
  for (Mapping& mapping : mappings) {
    const std::byte* expected = data;
    if (mapping.data.compare_exchange_strong(expected, nullptr)) return;
  }
}

struct stat status_of(int descriptor, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_at("read", path, errno);
  if (S_ISDIR(status.st_mode)) {
    throw Error(fmt::format("cannot read '{}': it is a directory, expected a file", path.string()));
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(fmt::format("cannot read '{}': it is not a regular file", path.string()));
  }
  return status;
}

int open_to_read(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not hang.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail_at("read", path, errno);
  return descriptor;
}

/// Reads up to `size` bytes; 0 at the end of the file.
std::size_t read_some(int descriptor, char* to, std::size_t size,
                      const std::filesystem::path& path) {
  for (;;) {
    const ssize_t count = ::read(descriptor, to, size);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) fail_at("read", path, errno);
  }
}

}  // namespace

bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

bool is_there(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) fail_at("read", path, errno);
  return false;
}

const char* mapped_file_at(const void* address) noexcept {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  for (const Mapping& mapping : mappings) {
    const std::byte* const data = mapping.data.load();
    const auto begin = reinterpret_cast<std::uintptr_t>(data);
    if (data == nullptr || data == &taken || wanted < begin) continue;
    if (wanted - begin < mapping.size.load()) return mapping.name.data();
  }
  return nullptr;
}

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const Descriptor file(open_to_read(path));
  size_ = static_cast<std::size_t>(status_of(file.get(), path).st_size);
  if (size_ == 0) return;  // mmap refuses empty mappings
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) fail_at("map", path, errno);
  data_ = static_cast<const std::byte*>(mapped);
  enter(path_, data_, size_);
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  forget(data_);
  ::munmap(const_cast<std::byte*>(data_), size_);
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

ReadableFile::ReadableFile(const std::filesystem::path& path)
    : ReadableFile(path, open_to_read(path)) {}

ReadableFile::ReadableFile(std::filesystem::path path, int descriptor) : path_(std::move(path)) {
  Descriptor file(descriptor);
  size_ = static_cast<std::uint64_t>(status_of(descriptor, path_).st_size);
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
      fail_at("read", path_, errno);
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

std::string read_file(const std::filesystem::path& path, std::size_t most) {
  const Descriptor file(open_to_read(path));
  const auto size = static_cast<std::size_t>(status_of(file.get(), path).st_size);
  const auto check = [&](std::size_t bytes) {
    if (bytes <= most) return;
    throw Error(fmt::format("cannot read '{}': it has more than {} bytes, too many for such a file",
                            path.string(), grouped(static_cast<std::int64_t>(most))));
  };
  check(size);
  std::string text;
  std::size_t used = 0;
  // One byte more than the file says it has, so that the usual case ends without growing.
  text.resize(size + 1);
  while (const std::size_t count =
             read_some(file.get(), text.data() + used, text.size() - used, path)) {
    used += count;
    check(used);
    if (used == text.size()) text.resize(2 * text.size());
  }
  text.resize(used);
  return text;
}

void for_each_line(const std::filesystem::path& path, std::size_t most,
                   const std::function<void(std::string_view text, bool whole)>& line) {
  const Descriptor file(open_to_read(path));
  static_cast<void>(status_of(file.get(), path));
  std::string block(std::size_t{1} << 16, '\0');
  std::string begun;
  bool whole = true;
  while (const std::size_t count = read_some(file.get(), block.data(), block.size(), path)) {
    std::string_view rest(block.data(), count);
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      const std::string_view part = rest.substr(0, end);
      const std::string_view fits = part.substr(0, most - begun.size());
      begun += fits;
      whole = whole && fits.size() == part.size();
      if (end == std::string_view::npos) break;
      line(begun, whole);
      begun.clear();
      whole = true;
      rest.remove_prefix(end + 1);
    }
  }
}

std::uint64_t checksum(const void* data, std::size_t size) { return XXH3_64bits(data, size); }

std::string checksum_hex(const void* data, std::size_t size) {
  return fmt::format("{:016x}", checksum(data, size));
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

// In parts: a file that is refused for its sum takes no memory.
std::string file_checksum(const std::filesystem::path& path) {
  const Descriptor file(open_to_read(path));
  static_cast<void>(status_of(file.get(), path));
  std::string block(std::size_t{1} << 16, '\0');
  RunningChecksum sum;
  while (const std::size_t count = read_some(file.get(), block.data(), block.size(), path)) {
    sum.add(block.data(), count);
  }
  return sum.hex();
}

}  // namespace sluice
