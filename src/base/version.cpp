#include "sluice/base/version.hpp"

namespace sluice {

std::string_view library_version() { return SLUICE_VERSION; }

}  // namespace sluice
