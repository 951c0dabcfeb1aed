// Durations as people read them: the part of numbers.hpp that formats.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sluice/base/numbers.hpp"

namespace sluice {

std::string clock_time(double seconds) {
  constexpr double longest = 1e9;
  const auto whole = static_cast<long long>(std::clamp(std::round(seconds), 0.0, longest));
  const long long hours = whole / 3600;
  const long long minutes = whole / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60)
                   : fmt::format("{}:{:02}", minutes, whole % 60);
}

std::string span_of_time(double seconds) {
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  if (std::round(seconds) < 60) return fmt::format("{:.0f} s", std::round(seconds));
  return clock_time(seconds) + (std::round(seconds) < 3600 ? " min" : " h");
}

}  // namespace sluice
