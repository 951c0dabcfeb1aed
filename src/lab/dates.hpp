#pragma once
// The date of a result.

#include <string>

namespace sluice {

/// Now, as "2026-11-22T05:40:00Z".
std::string utc_now();

}  // namespace sluice
