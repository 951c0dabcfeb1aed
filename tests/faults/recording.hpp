#pragma once
// What a process did to files, as the fault layer records it.

#include <cstddef>
#include <cstdint>

namespace sluice::faults {

enum class Operation : std::uint32_t {
  create = 1,      ///< first: path; file: the inode
  write,           ///< first: what was written, at `offset`
  truncate,        ///< offset: the size
  sync,            ///< first: path of the file or directory
  rename,          ///< first: from, second: to
  remove,          ///< first: path
  make_directory,  ///< first: path
};

/// Before what `first` and `second` have, in a record's file.
struct Header {
  Operation operation;
  long file;
  long offset;
  std::size_t first;
  std::size_t second;
};

}  // namespace sluice::faults
