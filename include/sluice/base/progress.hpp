#pragma once
// Progress of work that takes time: how it is reported, and how it looks on a terminal.

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Called from time to time, on the calling thread, with the fraction done (0 to 1) and what is
/// being done. May be empty.
using Progress = std::function<void(double fraction, std::string_view what)>;

/// A line for `width` columns: a bar, the percentage, and the parts of `text` that fit.
std::string progress_line(double fraction, std::string_view text, std::size_t width);

}  // namespace sluice
SLUICE_API_END
