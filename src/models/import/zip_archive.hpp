#pragma once
// The directory of a zip file.

#include <cstdint>
#include <map>
#include <string>

#include "sluice/base/detail/readable_file.hpp"

namespace sluice {

/// Where an entry's bytes lie in the file, as they are.
struct ZipEntry {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  /// Not packed, and so of use to us.
  bool stored = false;
};

/// The entries of a zip file, zip64 too, by name. Sizes are the central directory's. Throws Error,
/// a cause without the file's name, when it is cut short or malformed, when a place is outside the
/// file or belongs to two entries, and for a directory of more than 256 MiB. Nothing is unpacked.
std::map<std::string, ZipEntry> read_zip_directory(const ReadableFile& file);

}  // namespace sluice
