#pragma once
// Numbers as people read and write them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// 1234567 as "1,234,567".
std::string grouped(std::int64_t number);

/// A whole number, also written "1e6" (exactly whole, at most 2^53 then). Nothing for any other
/// text: other characters around it, a fraction, a number that int64 does not hold.
std::optional<std::int64_t> whole_number(std::string_view text);

/// A finite number, "0.002", "2e-3" or "-1". Nothing for any other text: other characters around
/// it, inf and nan, a number too large for a double or too small to be told from 0.
std::optional<double> real_number(std::string_view text);

/// Seconds as a clock shows them: "0:07", "12:34" or "3:45:06".
std::string clock_time(double seconds);

/// Seconds with their unit: "4.2 s", "42 s", "7:05 min" or "1:02:03 h".
std::string span_of_time(double seconds);

}  // namespace sluice
SLUICE_API_END
