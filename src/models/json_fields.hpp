#pragma once
// Typed fields of config.json's "model" object.

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "sluice/base/error.hpp"

namespace sluice {

/// json[name] as T. Throws Error naming the field when it is missing or not `type`.
template <class T>
T json_field(const nlohmann::json& json, const char* name, const char* type) {
  const auto found = json.find(name);
  if (found == json.end()) throw Error(fmt::format("model config: field '{}' is missing", name));
  try {
    return found->get<T>();
  } catch (const nlohmann::json::exception&) {
    throw Error(fmt::format("model config: field '{}' must be {}, got {}", name, type,
                            found->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  }
}

inline std::int64_t json_integer(const nlohmann::json& value, const char* name) {
  // get<int64_t>() would take 2.7 as 2 and wrap what does not fit.
  const bool fits = value.is_number_unsigned()
                        ? value.get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max()
                        : value.is_number_integer();
  if (!fits) {
    throw Error(fmt::format("model config: field '{}' must be a whole number, got {}", name,
                            value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  }
  return value.get<std::int64_t>();
}

inline std::int64_t json_integer_field(const nlohmann::json& json, const char* name) {
  return json_integer(json_field<nlohmann::json>(json, name, "a number"), name);
}

/// A float as JSON: the shortest decimal that reads back to it, 0.1 rather than 0.10000000149.
inline double json_float(float value) { return std::stod(fmt::format("{}", value)); }

}  // namespace sluice
