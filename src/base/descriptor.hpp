#pragma once
// What reading and writing files share.

#include <unistd.h>

#include <filesystem>
#include <utility>

namespace sluice {

/// Throws SystemError, "cannot OPERATION 'PATH': CAUSE", of an errno.
[[noreturn]] void fail_at(const char* operation, const std::filesystem::path& path, int cause);

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

}  // namespace sluice
