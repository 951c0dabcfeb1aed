#pragma once
// Telling texts apart without reading all of them.

#include <string>
#include <vector>

#include "sluice/text/source.hpp"

namespace sluice {

/// A checksum of the sources' sizes and of 256 pieces of 4 KB, spread evenly over all of them: of
/// texts up to a megabyte it has every byte. Throws Error for a source that cannot be read.
std::string text_fingerprint(const std::vector<TextSource>& sources);

}  // namespace sluice
