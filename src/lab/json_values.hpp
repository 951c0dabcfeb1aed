#pragma once
// Values in the laboratory's files and requests.

#include <cstdint>
#include <optional>
#include <string>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/value.hpp"

namespace sluice {

/// A value as people write it: strings without quotes.
inline std::string value_text(const Value& value) {
  const auto* const words = value.as<std::string>();
  return words != nullptr ? *words : json_text(value);
}

/// A number, whole or not; nothing for another value.
inline std::optional<double> number_in(const Value& value) {
  if (const auto* const whole = value.as<std::int64_t>()) return static_cast<double>(*whole);
  if (const auto* const large = value.as<std::uint64_t>()) return static_cast<double>(*large);
  if (const auto* const real = value.as<double>()) return *real;
  return std::nullopt;
}

/// Whether they say the same: 1 and 1.0 do.
inline bool same_value(const Value& a, const Value& b) {
  const auto x = number_in(a), y = number_in(b);
  return x && y ? *x == *y : a == b;
}

}  // namespace sluice
