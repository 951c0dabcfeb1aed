#pragma once
// Numbers in the laboratory's JSON.

#include <cmath>
#include <nlohmann/json.hpp>

namespace sluice {

/// JSON has no infinities: null stands for them.
inline nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

}  // namespace sluice
