#pragma once
// Dates in results.

#include <ctime>
#include <string>

namespace sluice {

/// Now, as "2025-01-31T12:34:56Z".
inline std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace sluice
