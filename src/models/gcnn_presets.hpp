#pragma once
// The published shapes of the gated convolutional model, and those made for CPUs.

#include <vector>

#include "sluice/models/gcnn.hpp"

namespace sluice {

std::vector<Preset> gcnn_presets();

}  // namespace sluice
