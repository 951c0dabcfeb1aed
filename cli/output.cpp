#include "output.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <system_error>

#include "sluice/base/error.hpp"

namespace sluice::cli {
namespace {

void check_output(bool done) {
  if (done || errno == EPIPE) return;
  throw Error(
      fmt::format("cannot write to standard output: {}", std::generic_category().message(errno)));
}

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace

void print(std::string_view text) {
  check_output(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

void flush_output() { check_output(std::fflush(stdout) == 0); }

ProgressDisplay::ProgressDisplay() : terminal_(isatty(STDERR_FILENO) == 1), last_(Clock::now()) {}

ProgressDisplay::~ProgressDisplay() { clear(); }

void ProgressDisplay::update(double fraction, std::string_view text) {
  const auto interval = terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10);
  const Clock::time_point now = Clock::now();
  if (now - last_ < interval) return;
  last_ = now;
  if (terminal_) {
    fmt::print(stderr, "\r\033[K{}", progress_line(fraction, text, terminal_width()));
    drawn_ = true;
  } else {
    fmt::print(stderr, "{:3.0f}% {}\n", std::floor(100 * fraction), text);
  }
  std::fflush(stderr);
}

void ProgressDisplay::clear() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  drawn_ = false;
}

std::string progress_line(double fraction, std::string_view text, std::size_t width) {
  constexpr std::size_t widest_bar = 24;
  constexpr std::size_t narrowest_bar = 8;
  fraction = std::clamp(fraction, 0.0, 1.0);
  const std::string rest = fmt::format("{:3.0f}% {}", std::floor(100 * fraction), text);
  // The last column stays free: writing there makes some terminals wrap.
  const std::size_t room = width > 0 ? width - 1 : 0;
  if (rest.size() + narrowest_bar + 3 > room) return rest.substr(0, room);
  const std::size_t bar = std::min(widest_bar, room - rest.size() - 3);
  const auto full = static_cast<std::size_t>(fraction * static_cast<double>(bar));
  return fmt::format("[{}{}] {}", std::string(full, '#'), std::string(bar - full, '.'), rest);
}

std::string duration(double seconds) {
  constexpr double longest = 1e9;
  const auto whole = static_cast<long long>(std::clamp(std::round(seconds), 0.0, longest));
  const long long hours = whole / 3600;
  const long long minutes = whole / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60)
                   : fmt::format("{}:{:02}", minutes, whole % 60);
}

}  // namespace sluice::cli
