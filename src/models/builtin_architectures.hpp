#pragma once
// The architectures that the library comes with.

#include <memory>
#include <vector>

#include "sluice/models/architecture.hpp"

namespace sluice {

/// In the order of architecture_names(): the first is the default.
std::vector<std::unique_ptr<const Architecture>> builtin_architectures();

}  // namespace sluice
