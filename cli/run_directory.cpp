#include "run_directory.hpp"

#include <fmt/format.h>

#include <string>
#include <system_error>
#include <utility>

#include "sluice/base/error.hpp"

namespace sluice::cli {

namespace fs = std::filesystem;

RunDirectory::RunDirectory(fs::path path, Existing existing) : path_(std::move(path)) {
  const bool exists = fs::exists(path_);
  if (exists && !fs::is_directory(path_)) {
    throw Error(fmt::format("--out '{}' is not a directory", path_.string()));
  }
  if (existing == Existing::refuse && exists && !fs::is_empty(path_)) {
    throw Error(fmt::format(
        "--out '{}' exists already; give --resume to continue its run, --overwrite to replace it, "
        "or another directory",
        path_.string()));
  }
  std::error_code error;
  made_ = fs::create_directories(path_, error);
  if (error) {
    throw Error(fmt::format("cannot make --out '{}': {}", path_.string(), error.message()));
  }
  lock_ = std::make_unique<DirectoryLock>(path_);
}

RunDirectory::~RunDirectory() {
  if (!made_) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void RunDirectory::remove_old_run() const {
  for (const char* name : {"checkpoint.safetensors", "model.safetensors", "config.json",
                           "metrics.jsonl", "tokenizer.json", "tokenizer.model", "trace.json"}) {
    fs::remove(path_ / name);
  }
}

}  // namespace sluice::cli
