#pragma once
// Values in the laboratory's JSON.

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/value.hpp"

namespace sluice {

/// JSON has no infinities: null stands for them.
inline nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

/// A value as people write it: strings without quotes.
inline std::string value_text(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

inline std::string value_text(const Value& value) {
  const auto* const words = value.as<std::string>();
  return words != nullptr ? *words : json_text(value);
}

}  // namespace sluice
