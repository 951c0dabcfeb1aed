#include "run_directory.hpp"

#include <fmt/format.h>

#include <string>
#include <system_error>
#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"

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
    throw Error(fmt::format(
        "--out '{}' exists already; give {}--overwrite to replace it, or another "
        "directory",
        path().string(), files_.has_checkpoint() ? "--resume to continue its run, " : ""));
  }
  // Whose presence cannot be found out is not taken for absent: it would be removed in the end.
  for (fs::path missing = fs::absolute(path()).lexically_normal(); !is_there(missing);
       missing = missing.parent_path()) {
    if (missing.has_filename()) made_.insert(made_.begin(), missing);
  }
  std::error_code error;
  fs::create_directories(path(), error);
  if (error) {
    throw SystemError(fmt::format("cannot make --out '{}': {}", path().string(), error.message()),
                      error.value());
  }
  lock_ = std::make_unique<DirectoryLock>(path());
}

RunDirectory::~RunDirectory() {
  if (made_.empty()) return;
  std::error_code ignored;
  fs::remove_all(made_.back(), ignored);
  made_.pop_back();
  for (; !made_.empty(); made_.pop_back()) fs::remove(made_.back(), ignored);  // if it is empty
}

void RunDirectory::finish() {
  keep();
  // Removed while it is held: who waits for nothing and finds it held gives up.
  std::error_code ignored;
  fs::remove(path() / DirectoryLock::name, ignored);
  lock_.reset();
}

}  // namespace sluice::cli
