// Tasks: their answers are right, and no period locks with a chunk.

#include "sluice/lab/tasks/tasks.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cctype>
#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"

namespace sluice {
namespace {

constexpr Task all[] = {Task::copy, Task::adding, Task::xml, Task::arithmetic, Task::brackets};

std::string behind(const std::string& line) { return line.substr(line.find('=') + 1); }
std::string before(const std::string& line) { return line.substr(0, line.find('=')); }

/// The lines of a task, checked one by one.
template <class Check>
void for_lines(Task task, const Check& check) {
  for (const std::int64_t length : {2, 7, 18}) {
    for (std::int64_t i = 0; i < 300; ++i) {
      const std::string line = task_line({.task = task, .length = length}, i);
      SCOPED_TRACE(line);
      check(line, length);
    }
  }
}

TEST(Tasks, CopyRepeatsItsLetters) {
  for_lines(Task::copy, [](const std::string& line, std::int64_t length) {
    const std::string symbols = line.substr(0, line.find('.'));
    const auto dots = static_cast<std::int64_t>(before(line).size() - symbols.size());
    EXPECT_EQ(behind(line), symbols);
    EXPECT_GE(dots, length / 2);
    EXPECT_LE(dots, length);
    EXPECT_LE(symbols.size(), 10U);
  });
}

TEST(Tasks, AddingSumsTheMarkedDigits) {
  for_lines(Task::adding, [](const std::string& line, std::int64_t length) {
    int sum = 0;
    int marks = 0;
    std::int64_t digits = 0;
    const std::string text = before(line);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '+') {
        ++digits;
        continue;
      }
      ++marks;
      sum += text[i - 1] - '0';
    }
    EXPECT_EQ(marks, 2);
    EXPECT_LE(digits, length);
    EXPECT_EQ(behind(line).size(), 2U);
    EXPECT_EQ(std::stoi(behind(line)), sum);
  });
}

TEST(Tasks, XmlClosesWhatIsOpen) {
  for_lines(Task::xml, [](const std::string& line, std::int64_t) {
    std::vector<std::string> open;
    for (std::size_t at = 0; at < line.size();) {
      ASSERT_EQ(line[at], '<');
      const std::size_t end = line.find('>', at);
      const std::string tag = line.substr(at + 1, end - at - 1);
      at = end + 1;
      if (tag[0] != '/') {
        EXPECT_GE(tag.size(), 2U);
        EXPECT_LE(tag.size(), 10U);
        open.push_back(tag);
        continue;
      }
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(tag.substr(1), open.back());
      open.pop_back();
    }
    EXPECT_TRUE(open.empty());
  });
}

TEST(Tasks, ArithmeticIgnoresLetters) {
  for_lines(Task::arithmetic, [](const std::string& line, std::int64_t length) {
    std::string text;
    for (const char c : before(line)) {
      if (std::islower(static_cast<unsigned char>(c)) == 0) text += c;
    }
    const std::size_t sign = text.find_first_of("+-");
    const std::int64_t a = std::stoll(text.substr(0, sign));
    const std::int64_t b = std::stoll(text.substr(sign + 1));
    EXPECT_LE(static_cast<std::int64_t>(text.size()), 2 * length + 1);
    EXPECT_EQ(std::stoll(behind(line)), text[sign] == '+' ? a + b : a - b);
  });
}

TEST(Tasks, BracketsCloseThoseThatAreOpen) {
  for_lines(Task::brackets, [](const std::string& line, std::int64_t) {
    const std::string pairs = "()[]{}<>";
    std::string open;
    const std::size_t mark = line.find('=');
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (i == mark || (i == 0 && line[i] == '.')) continue;
      const std::size_t kind = pairs.find(line[i]);
      ASSERT_NE(kind, std::string::npos);
      if (kind % 2 == 0) {
        EXPECT_LT(i, mark);
        open += pairs[kind + 1];
        EXPECT_LE(open.size(), 12U);
      } else {
        ASSERT_FALSE(open.empty());
        EXPECT_EQ(line[i], open.back());
        open.pop_back();
      }
    }
    EXPECT_TRUE(open.empty());
  });
}

// A model that knows where in a chunk it is knows nothing of the line: lines begin anywhere.
TEST(Tasks, LinesBeginAnywhereInAChunk) {
  for (const Task task : all) {
    for (const std::size_t chunk : {32U, 64U}) {
      std::vector<int> begins(chunk);
      std::size_t at = 0;
      for (std::int64_t i = 0; i < 4000; ++i) {
        ++begins[at % chunk];
        at += task_line({.task = task}, i).size() + 1;
      }
      const double each = 4000.0 / static_cast<double>(chunk);
      for (const int count : begins) EXPECT_NEAR(count, each, 7 * std::sqrt(each)) << name_of(task);
    }
  }
}

TEST(Tasks, AreWrittenTheSameAgain) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("sluice-tasks-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  std::set<std::string> names;
  for (const Task task : all) {
    const TaskOptions options{.task = task, .lines = 2000, .seed = 3};
    const auto file = directory / task_file_name(options);
    write_task(options, file);
    std::string text;
    for (std::int64_t i = 0; i < options.lines; ++i) text += task_line(options, i) + "\n";
    EXPECT_EQ(read_file(file), text);
    EXPECT_NE(task_line(options, 5), task_line({.task = task, .seed = 4}, 5));
    names.insert(task_file_name(options));
  }
  EXPECT_EQ(names.size(), 5U);
  EXPECT_TRUE(names.contains("arithmetic-8-2000-3.txt"));
  std::filesystem::remove_all(directory);
  EXPECT_THROW(check_task({.task = Task::arithmetic, .length = 19}), UsageError);
  EXPECT_THROW(check_task({.length = 1}), UsageError);
  EXPECT_THROW(check_task({.lines = 0}), UsageError);
  EXPECT_NO_THROW(check_task({.task = Task::arithmetic, .length = 1}));
}

}  // namespace
}  // namespace sluice
