#pragma once
// A directory that is removed with its owner.

#include <filesystem>

namespace sluice::cli {

class TemporaryDirectory {
 public:
  /// Makes a new directory in $TMPDIR or /tmp. Throws Error when it cannot.
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace sluice::cli
