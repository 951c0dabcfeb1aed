#pragma once
// The directory a training run writes.

#include <filesystem>
#include <memory>
#include <vector>

#include "sluice/base/file.hpp"
#include "sluice/models/model_directory.hpp"

namespace sluice::cli {

/// What to do with a directory that holds something already. join: another process of this job has
/// made it, and holds its lock.
enum class Existing { refuse, resume, overwrite, join };

/// Makes the directory when it is missing and holds its lock. Unless keep() is called, a directory
/// it made is removed again, with all that is in it, and those above it that it made and that are
/// empty then.
class RunDirectory {
 public:
  /// Throws Error when the directory holds something and `existing` says to refuse that, when
  /// another run holds it, and when it cannot be made.
  RunDirectory(std::filesystem::path path, Existing existing);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return files_.path(); }
  const ModelDirectory& files() const { return files_; }
  void keep() { made_.clear(); }
  /// Keeps a directory that is written once: nothing is left in it of its lock.
  void finish();

 private:
  ModelDirectory files_;
  /// The directories that it made, the outermost first.
  std::vector<std::filesystem::path> made_;
  std::unique_ptr<DirectoryLock> lock_;
};

}  // namespace sluice::cli
