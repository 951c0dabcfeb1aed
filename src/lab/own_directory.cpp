#include "own_directory.hpp"

#include <fmt/format.h>

#include <system_error>

#include "sluice/base/error.hpp"

namespace sluice {

namespace fs = std::filesystem;

void make_own_directory(const fs::path& directory, int own) {
  fs::path part = directory;
  for (int i = 0; i < own; ++i, part = part.parent_path()) {
    std::error_code none;
    if (!fs::is_symlink(fs::symlink_status(part, none))) continue;
    throw Error(
        fmt::format("cannot write to '{}': it is a symbolic link, which is not followed; remove it",
                    part.string()));
  }
  std::error_code cause;
  fs::create_directories(directory, cause);
  if (cause) {
    throw SystemError(
        fmt::format("cannot make the directory '{}': {}", directory.string(), cause.message()),
        cause.value());
  }
}

}  // namespace sluice
