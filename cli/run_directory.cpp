#include "run_directory.hpp"

#include <fmt/format.h>

#include <string>
#include <system_error>
#include <utility>

#include "sluice/base/error.hpp"

namespace sluice::cli {

namespace fs = std::filesystem;

RunDirectory::RunDirectory(fs::path directory, Existing existing) : files_(std::move(directory)) {
  const bool exists = fs::exists(path());
  if (existing == Existing::join) {
    if (exists) return;
    throw Error(fmt::format(
        "--out '{}' was made by the first process and is not to be seen here: all processes need "
        "the same files, on a file system that they share",
        path().string()));
  }
  if (exists && !fs::is_directory(path())) {
    throw Error(fmt::format("--out '{}' is not a directory", path().string()));
  }
  // What is left of a run that was killed before it began may be replaced.
  if (existing == Existing::refuse && exists && !fs::is_empty(path()) &&
      !files_.holds_only_preparations()) {
    throw Error(
        fmt::format("--out '{}' exists already{}; give {}--overwrite to replace it, or "
                    "another directory",
                    path().string(), files_.has_checkpoint() ? "" : " and has no run to continue",
                    files_.has_checkpoint() ? "--resume to continue its run, " : ""));
  }
  std::error_code error;
  made_ = fs::create_directories(path(), error);
  if (error) {
    throw Error(fmt::format("cannot make --out '{}': {}", path().string(), error.message()));
  }
  lock_ = std::make_unique<DirectoryLock>(path());
}

RunDirectory::~RunDirectory() {
  if (!made_) return;
  std::error_code ignored;
  fs::remove_all(path(), ignored);
}

}  // namespace sluice::cli
