#pragma once
// The JSON in a checkpoint's metadata.

#include <filesystem>

#include "sluice/base/value.hpp"
#include "sluice/models/safetensors.hpp"

namespace sluice {

/// Of the fields of all parts, and of the fingerprint.
Metadata checkpoint_metadata(Value fields);

/// The inverse, from the header of `file`. Throws Error when it is no checkpoint, or of a newer
/// format.
Value checkpoint_fields(const SafetensorsFile& file);

}  // namespace sluice
