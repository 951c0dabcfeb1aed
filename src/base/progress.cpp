#include "sluice/base/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

/// As much of `line` as `room` bytes hold: the parts, between two blanks, that fit whole, of a
/// first one that does not its beginning, no character cut.
std::string fitting(std::string_view line, std::size_t room) {
  if (line.size() <= room) return std::string(line);
  const std::size_t border = line.substr(0, room + 2).rfind("  ");
  if (border != std::string_view::npos && line.find_first_not_of(' ') < border) {
    return std::string(line.substr(0, border));
  }
  while (room > 0 && (static_cast<unsigned char>(line[room]) & 0xC0U) == 0x80U) --room;
  return std::string(line.substr(0, room));
}

}  // namespace

std::string progress_line(double fraction, std::string_view text, std::size_t width) {
  constexpr std::size_t widest_bar = 24;
  constexpr std::size_t narrowest_bar = 8;
  fraction = std::clamp(fraction, 0.0, 1.0);
  const std::string rest = fmt::format("{:3.0f}% {}", std::floor(100 * fraction), text);
  // The last column stays free: writing there makes some terminals wrap.
  const std::size_t room = width > 0 ? width - 1 : 0;
  if (rest.size() + narrowest_bar + 3 > room) return fitting(rest, room);
  const std::size_t bar = std::min(widest_bar, room - rest.size() - 3);
  const auto full = static_cast<std::size_t>(fraction * static_cast<double>(bar));
  return fmt::format("[{}{}] {}", std::string(full, '#'), std::string(bar - full, '.'), rest);
}

}  // namespace sluice
