#pragma once
// Bytes as a file.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace sluice::fuzz {

/// A file of the bytes, in memory.
class InMemory {
 public:
  explicit InMemory(std::string_view bytes) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t written = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
      if (written <= 0) std::abort();
      done += static_cast<std::size_t>(written);
    }
  }
  ~InMemory() { ::close(descriptor_); }
  InMemory(const InMemory&) = delete;
  InMemory& operator=(const InMemory&) = delete;
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// A directory in memory, kept for the process.
inline std::filesystem::path directory_in_memory() {
  struct Made {
    ~Made() {
      std::error_code ignored;
      for (const auto& path : paths) std::filesystem::remove_all(path, ignored);
    }
    std::vector<std::filesystem::path> paths;
  };
  static Made all;
  std::string made = "/dev/shm/sluice-fuzz-XXXXXX";
  if (::mkdtemp(made.data()) == nullptr) std::abort();
  return all.paths.emplace_back(made);
}

/// Puts the bytes there.
inline void put_file(const std::filesystem::path& path, std::string_view bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (::write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) std::abort();
  ::close(file);
}

/// A directory with the bytes as its only file.
inline std::filesystem::path directory_with(const char* name, std::string_view bytes) {
  static const std::filesystem::path directory = directory_in_memory();
  static std::string before;
  if (before != name && !before.empty()) std::filesystem::remove(directory / before);
  before = name;
  put_file(directory / name, bytes);
  return directory;
}

}  // namespace sluice::fuzz
