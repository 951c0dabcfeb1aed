#pragma once
// Tasks that cannot be learnt without what is claimed of a model: memory over long lags, a stack,
// arithmetic. Each is a text of lines for the char tokenizer, made from a seed.

#include <cstdint>
#include <filesystem>
#include <string>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Lengths of lines vary at random, so that no period locks with the chunks that training reads: a
/// model cannot count where in a line it is.
enum class Task : std::uint8_t {
  /// Letters, dots, "=", the same letters: "gadb.......=gadb" (Hochreiter & Schmidhuber 1997). One
  /// to
  /// ten letters of eight, `length` / 2 to `length` dots.
  copy,
  /// Digits of which two are marked, one in each half, "=", the sum of these in two digits:
  /// "40+2739+15=09" (Hochreiter & Schmidhuber 1997, Le et al. 2015, with digits for real numbers).
  /// `length` / 2 to `length` digits.
  adding,
  /// Nested tags of 2 to 10 letters: "<ab><xyz></xyz></ab>" (Jozefowicz et al. 2015, section 3.2):
  /// a
  /// tag is opened or the last open one closed, each half the time; after `length` such steps all
  /// are closed.
  xml,
  /// The sum or difference of two numbers with letters strewn in that mean nothing, "=", the
  /// result:
  /// "3e36d9-h1h39f94eeh43keg3c=-13991064" (Jozefowicz et al. 2015). Numbers of 1 to `length`
  /// digits.
  arithmetic,
  /// Brackets of four kinds, "=", what closes those that are open: "({[]<=>})", half of them behind
  /// a
  /// dot. `length` / 2 to `length` brackets, at most 12 open at once.
  brackets
};
/// "copy", "adding", "xml", "arithmetic", "brackets".
const EnumNames<Task>& enum_names(Task);

/// What an answer is: "accuracy of answers" counts the characters behind "=" up to the end of the
/// line, or behind "/" up to ">".
struct TaskOptions {
  Task task = Task::copy;
  std::int64_t lines = 20'000;
  /// See Task; 0: 40, of arithmetic 8.
  std::int64_t length = 0;
  std::uint64_t seed = 1;
};

/// The largest lengths: of arithmetic (from 1), and of others (from 2); and the most lines.
inline constexpr std::int64_t most_task_digits = 18, most_task_length = 100'000,
                              most_task_lines = 1'000'000'000;

/// Throws UsageError for numbers out of range.
void check_task(const TaskOptions& options);

/// Line `line` of the text, without its end: a function of the options (`lines` left out) and of
/// `line` alone.
std::string task_line(const TaskOptions& options, std::int64_t line);

/// Replaces `file` by the text. Throws UsageError as check_task() does, Error when it cannot be
/// written; nothing half-written is left behind.
void write_task(const TaskOptions& options, const std::filesystem::path& file);

/// "copy-40-20000-1.txt": another for other options.
std::string task_file_name(const TaskOptions& options);

}  // namespace sluice
SLUICE_API_END
