#include "sluice/lab/tasks/tasks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/random.hpp"

namespace sluice {
namespace {

constexpr std::int64_t standard_length = 40, standard_digits = 8;
constexpr std::int64_t most_letters = 10;
constexpr std::int64_t least_tag = 2, most_tag = 10;
constexpr std::size_t most_open = 12;
/// Of a letter before each digit of an arithmetic expression.
constexpr double distraction = 0.5;
constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view opening = "([{<", closing = ")]}>";

/// Random choices of one line.
class Dice {
 public:
  Dice(const TaskOptions& options, std::int64_t line)
      : key_{.seed = options.seed,
             .stream = static_cast<std::uint32_t>(options.task),
             .step = static_cast<std::uint32_t>(line)} {}

  /// A whole number from `least` to `most`.
  std::int64_t between(std::int64_t least, std::int64_t most) {
    const auto values = static_cast<double>(most - least + 1);
    return std::min(most, least + static_cast<std::int64_t>(values * key_.uniform_double(next_++)));
  }
  bool chance(double p) { return key_.uniform_double(next_++) < p; }
  char one_of(std::string_view characters) {
    return characters[static_cast<std::size_t>(
        between(0, static_cast<std::int64_t>(characters.size()) - 1))];
  }

 private:
  RandomKey key_;
  std::uint64_t next_ = 0;
};

std::string word(Dice& dice, std::int64_t size, std::string_view alphabet) {
  std::string text;
  while (static_cast<std::int64_t>(text.size()) < size) text += dice.one_of(alphabet);
  return text;
}

std::string copy_line(Dice& dice, std::int64_t length) {
  const std::string symbols = word(dice, dice.between(1, most_letters), letters.substr(0, 8));
  const auto dots = static_cast<std::size_t>(dice.between((length + 1) / 2, length));
  return symbols + std::string(dots, '.') + "=" + symbols;
}

std::string adding_line(Dice& dice, std::int64_t length) {
  const std::int64_t digits = dice.between(std::max<std::int64_t>(2, length / 2), length);
  const std::int64_t first = dice.between(0, digits / 2 - 1);
  const std::int64_t second = dice.between(digits / 2, digits - 1);
  std::string text;
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < digits; ++i) {
    const std::int64_t digit = dice.between(0, 9);
    text += static_cast<char>('0' + digit);
    if (i != first && i != second) continue;
    text += '+';
    sum += digit;
  }
  return fmt::format("{}={:02}", text, sum);
}

std::string xml_line(Dice& dice, std::int64_t length) {
  std::string text;
  std::vector<std::string> open;
  for (std::int64_t step = 0; step == 0 || !open.empty(); ++step) {
    if (step == 0 || (step < length && dice.chance(0.5))) {
      open.push_back(word(dice, dice.between(least_tag, most_tag), letters));
      text += "<" + open.back() + ">";
    } else {
      text += "</" + open.back() + ">";
      open.pop_back();
    }
  }
  return text;
}

/// A number's digits with letters before some of them.
std::string strewn(Dice& dice, std::int64_t number) {
  std::string text;
  for (const char digit : std::to_string(number)) {
    while (dice.chance(distraction)) text += dice.one_of(letters);
    text += digit;
  }
  return text;
}

std::string arithmetic_line(Dice& dice, std::int64_t length) {
  const auto number = [&] {
    std::int64_t value = 0;
    for (std::int64_t digits = dice.between(1, length); digits > 0; --digits) {
      value = 10 * value + dice.between(0, 9);
    }
    return value;
  };
  const std::int64_t a = number();
  const std::int64_t b = number();
  const bool plus = dice.chance(0.5);
  const std::string left = strewn(dice, a);
  return fmt::format("{}{}{}={}", left, plus ? '+' : '-', strewn(dice, b), plus ? a + b : a - b);
}

std::string brackets_line(Dice& dice, std::int64_t length) {
  // What is opened is closed, so that without the dot all lines would have an even length.
  std::string text = dice.chance(0.5) ? "." : "";
  std::string open;  // what closes those that are open
  for (std::int64_t left = dice.between((length + 1) / 2, length); left > 0; --left) {
    if (open.empty() || (open.size() < most_open && dice.chance(0.5))) {
      const auto kind = static_cast<std::size_t>(dice.between(0, 3));
      text += opening[kind];
      open += closing[kind];
    } else {
      text += open.back();
      open.pop_back();
    }
  }
  std::reverse(open.begin(), open.end());
  return text + "=" + open;
}

TaskOptions with_length(TaskOptions options) {
  if (options.length == 0) {
    options.length = options.task == Task::arithmetic ? standard_digits : standard_length;
  }
  return options;
}

}  // namespace

const EnumNames<Task>& enum_names(Task) {
  static const EnumNames<Task> names("task", {{Task::copy, "copy"},
                                              {Task::adding, "adding"},
                                              {Task::xml, "xml"},
                                              {Task::arithmetic, "arithmetic"},
                                              {Task::brackets, "brackets"}});
  return names;
}

void check_task(const TaskOptions& options) {
  const TaskOptions all = with_length(options);
  const bool digits = all.task == Task::arithmetic;
  const std::int64_t least = digits ? 1 : 2;
  const std::int64_t most = digits ? most_task_digits : most_task_length;
  if (all.length < least || all.length > most) {
    throw UsageError(fmt::format("length of the task '{}': expected {} to {}, got {}",
                                 name_of(all.task), least, most, all.length));
  }
  if (all.lines < 1 || all.lines > most_task_lines) {
    throw UsageError(
        fmt::format("lines of a task: expected 1 to {}, got {}", most_task_lines, all.lines));
  }
}

std::string task_line(const TaskOptions& options, std::int64_t line) {
  const std::int64_t length = with_length(options).length;
  Dice dice(options, line);
  switch (options.task) {
    case Task::copy:
      return copy_line(dice, length);
    case Task::adding:
      return adding_line(dice, length);
    case Task::xml:
      return xml_line(dice, length);
    case Task::arithmetic:
      return arithmetic_line(dice, length);
    case Task::brackets:
      break;
  }
  return brackets_line(dice, length);
}

void write_task(const TaskOptions& options, const std::filesystem::path& file) {
  check_task(options);
  constexpr std::size_t piece = std::size_t{1} << 16;
  AtomicFile out(file);
  std::string text;
  for (std::int64_t line = 0; line < options.lines; ++line) {
    text += task_line(options, line) + "\n";
    if (text.size() < piece) continue;
    out.write(text);
    text.clear();
  }
  out.write(text);
  out.commit();
}

std::string task_file_name(const TaskOptions& options) {
  const TaskOptions all = with_length(options);
  return fmt::format("{}-{}-{}-{}.txt", name_of(all.task), all.length, all.lines, all.seed);
}

}  // namespace sluice
