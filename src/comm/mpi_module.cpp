#include "mpi_module.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

constexpr const char* module_name = "libsluice-mpi.so";

/// Where it may be: beside the program (a build), or where SLUICE_MODULE_DIR leads to from there
/// (an installation).
std::filesystem::path module_path() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const auto& directory : {program, program / SLUICE_MODULE_DIR}) {
    if (std::filesystem::exists(directory / module_name, error)) return directory / module_name;
  }
  return {};
}

}  // namespace

const MpiTable& load_mpi() {
  const std::filesystem::path path = module_path();
  if (path.empty()) {
    throw Error(
        fmt::format("several processes were started together, and this sluice was built without "
                    "MPI ({} is not beside it): install libopenmpi-dev (./dev setup mpi), build "
                    "again, or start one process",
                    module_name));
  }
  // Global: Open MPI loads parts of its own, which look for its symbols.
  void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (module == nullptr) throw Error(fmt::format("cannot load MPI: {}", dlerror()));
  void* const symbol = dlsym(module, mpi_table_name);
  const MpiTable* table =
      symbol == nullptr ? nullptr : reinterpret_cast<MpiTableFunction>(symbol)();
  if (table == nullptr || table->version != mpi_table_version) {
    throw Error(fmt::format("'{}' is of another version than this program; install both together",
                            path.string()));
  }
  return *table;
}

}  // namespace sluice
