#pragma once
// Standard output, checked, and progress on standard error.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "sluice/base/value.hpp"

namespace sluice::cli {

/// Writes to standard output. Throws Error when it cannot be written (a full disk); a closed
/// reader (EPIPE) is not an error: further output is dropped.
void print(std::string_view text);
/// Flushes standard output; throws like print().
void flush_output();
/// Writes a value as a line of JSON to standard output, names in the value's order; throws like
/// print().
void print_json(const Value& value);

/// Writes to standard error. What cannot be said there is not said: that fails nothing.
void tell(std::string_view text);

/// From now on this process, one of several that is not the first, says to the end of `file` what
/// it would say to its user. Throws Error when it cannot be written.
void keep_log(const std::filesystem::path& file);
bool keeps_log();
/// To the log, where there is one.
void add_to_log(std::string_view text);
/// As tell(), and past the log: for the sentence that ends a job.
void tell_user(std::string_view text);

/// How many of something: "1 layer", "1,234 layers"; `one` is what a single one is called, of a
/// word whose plural takes an s.
std::string counted(std::int64_t number, std::string_view one);

/// How a validation stands, for the end of the line that tells of it: ", the best so far", ", worse
/// than knowing nothing (2.6391)" (ln V), or nothing.
std::string validation_standing(double loss, double uniform_loss, bool best);

/// Progress on standard error: on a terminal (other than TERM=dumb) a line that is redrawn at most
/// ten times a second, else a plain line about every ten seconds.
class ProgressDisplay {
 public:
  ProgressDisplay();
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  /// Shows `text` and how much is done, 0 to 1.
  void update(double fraction, std::string_view text);
  /// Wipes the live line, so that other output can follow.
  void clear();
  /// Prints a line on standard output, the live line out of its way.
  void say(const std::string& line);

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point last_;
};

}  // namespace sluice::cli
