#pragma once
// Numbers as people read them.

#include <cstdint>
#include <string>

namespace sluice {

/// 1234567 as "1,234,567".
std::string grouped(std::int64_t number);

}  // namespace sluice
