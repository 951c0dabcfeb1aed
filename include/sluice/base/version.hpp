#pragma once
// Which version of Sluice this is.

#include <string_view>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The version of the library that is linked, as "0.1.0". Safe to call from any thread.
std::string_view library_version();

}  // namespace sluice
SLUICE_API_END
