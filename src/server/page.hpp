#pragma once
// The page at "/", in one piece.

#include <string_view>

namespace sluice::server {

std::string_view page();

}  // namespace sluice::server
