#include "output.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/base/progress.hpp"

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

/// The log; null: there is none.
std::FILE* kept_log = nullptr;

/// Whether standard error is a terminal on which a line can be wiped.
bool redraws_lines() {
  if (keeps_log()) return false;
  const char* const kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

}  // namespace

void print(std::string_view text) {
  if (keeps_log()) return add_to_log(text);
  check_output(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

void print_json(const Value& value) { print(json_text(value, -1, JsonNames::as_given) + "\n"); }

void tell(std::string_view text) {
  if (keeps_log()) return add_to_log(text);
  tell_user(text);
}

void tell_user(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

void flush_output() { check_output(std::fflush(stdout) == 0); }

void keep_log(const std::filesystem::path& file) {
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  kept_log = std::fopen(file.c_str(), "ae");
  if (kept_log != nullptr) return;
  throw Error(fmt::format("cannot write the log '{}': {}", file.string(),
                          std::generic_category().message(errno)));
}

bool keeps_log() { return kept_log != nullptr; }

void add_to_log(std::string_view text) {
  if (!keeps_log()) return;
  std::fwrite(text.data(), 1, text.size(), kept_log);
  std::fflush(kept_log);
}

std::string counted(std::int64_t number, std::string_view one) {
  return fmt::format("{} {}{}", grouped(number), one, number == 1 ? "" : "s");
}

std::string validation_standing(double loss, double uniform_loss, bool best) {
  if (loss > uniform_loss)
    return fmt::format(", worse than knowing nothing ({:.4f})", uniform_loss);
  return best ? ", the best so far" : "";
}

ProgressDisplay::ProgressDisplay() : terminal_(redraws_lines()), last_(Clock::now()) {}

ProgressDisplay::~ProgressDisplay() { clear(); }

void ProgressDisplay::update(double fraction, std::string_view text) {
  const auto interval = terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10);
  const Clock::time_point now = Clock::now();
  if (now - last_ < interval) return;
  last_ = now;
  if (terminal_) {
    tell(fmt::format("\r\033[K{}", progress_line(fraction, text, terminal_width())));
    drawn_ = true;
  } else {
    tell(fmt::format("{:3.0f}% {}\n", std::floor(100 * fraction), text));
  }
}

void ProgressDisplay::clear() {
  if (!drawn_) return;
  tell("\r\033[K");
  drawn_ = false;
}

void ProgressDisplay::say(const std::string& line) {
  clear();
  print(line + "\n");
  flush_output();
}

}  // namespace sluice::cli
