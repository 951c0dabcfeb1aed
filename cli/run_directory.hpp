#pragma once
// The directory a training run writes.

#include <filesystem>
#include <memory>

#include "sluice/base/file.hpp"

namespace sluice::cli {

/// What to do with a directory that holds something already.
enum class Existing { refuse, resume, overwrite };

/// Makes the directory when it is missing and holds its lock. Unless keep() is called, a directory
/// it made is removed again, with all that is in it.
class RunDirectory {
 public:
  /// Throws Error when the directory holds something and `existing` says to refuse that, when
  /// another run holds it, and when it cannot be made.
  RunDirectory(std::filesystem::path path, Existing existing);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Where tokenised texts go.
  std::filesystem::path cache() const { return path_ / "cache"; }
  /// Removes the files of an earlier run, but not what is cached.
  void remove_old_run() const;
  void keep() { made_ = false; }

 private:
  std::filesystem::path path_;
  bool made_ = false;
  std::unique_ptr<DirectoryLock> lock_;
};

}  // namespace sluice::cli
