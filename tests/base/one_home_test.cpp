// Flags and commands are the program's: what the library says names settings by their fields. Where
// what is dangerous stands.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "sluice/base/file.hpp"
#include "support/literals.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using test::Literal;

/// The names of the program's commands, from its own sources.
std::vector<std::string> commands() {
  std::vector<std::string> names;
  for (const fs::path& file : test::sources_of(SLUICE_SOURCE_DIR, {"cli"})) {
    for (const Literal& literal : test::literals(read_file(file))) {
      if (literal.call == "add_command" && literal.before.ends_with("program,")) {
        names.push_back(literal.text);
      }
    }
  }
  return names;
}

/// A flag or a command in a text: "--batch", "sluice train".
std::regex spoken() {
  std::string names;
  for (const std::string& name : commands()) names += (names.empty() ? "" : "|") + name;
  return std::regex("(^|[^A-Za-z0-9_-])--[a-z]|\\bsluice (" + names + ")\\b");
}

/// Where flags are at home in the library: entries of field tables, which --help is made of.
bool in_field_table(const Literal& literal) {
  return literal.call.ends_with("_field") ||
         std::ranges::any_of(
             std::vector<std::string>{".flag =", ".off_flag =", ".help =", ".off_help ="},
             [&](const std::string& key) { return literal.before.ends_with(key); });
}

TEST(OneHome, LiteralsAreFound) {
  const std::vector<Literal> found = test::literals(
      "f(g_field({1}, \"a\" R\"(b\")\"), // \"no\"\n  {.flag = \"c\\\"\"}, '\"', 1'000);\n#i "
      "\"no\"");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].text, "ab\"");
  EXPECT_EQ(found[0].call, "g_field");
  EXPECT_EQ(found[1].text, "c\\\"");
  EXPECT_TRUE(in_field_table(found[1]) && found[1].before.ends_with("{.flag ="));
}

TEST(OneHome, TheLibraryNamesNoFlagsAndNoCommands) {
  EXPECT_GE(commands().size(), 20U);
  const std::regex pattern = spoken();
  EXPECT_TRUE(std::regex_search("give --dim 3", pattern));
  EXPECT_TRUE(std::regex_search("by sluice quantize", pattern));
  EXPECT_FALSE(std::regex_search("a--b, this sluice was built", pattern));

  std::size_t texts = 0;
  for (const fs::path& file : test::sources_of(SLUICE_SOURCE_DIR, {"src", "include"})) {
    // Quotes the command that its authors trained by.
    if (file.filename() == "recipes.cpp") continue;
    for (const Literal& literal : test::literals(read_file(file))) {
      if (in_field_table(literal)) continue;
      ++texts;
      EXPECT_FALSE(std::regex_search(literal.text, pattern))
          << file << " says \"" << literal.text << "\"";
    }
  }
  EXPECT_GT(texts, 1000U);
}

TEST(OneHome, TheLibrarysManualNamesNoFlagsAndNoCommands) {
  const std::regex pattern = spoken();
  for (const fs::path& file : test::sources_of(SLUICE_SOURCE_DIR, {"include"})) {
    // They say what a flag is to a field.
    const std::string name = file.filename();
    if (name == "fields.hpp" || name == "field_codec.hpp") continue;
    std::istringstream lines(read_file(file));
    for (std::string line; std::getline(lines, line);) {
      const std::size_t comment = line.find("//");
      if (comment == std::string::npos) continue;
      EXPECT_FALSE(std::regex_search(line.substr(comment), pattern)) << file << ": " << line;
    }
  }
}

TEST(OneHome, WhatFailsWhereMemoryRunsOutIsKeptInItsPlace) {
  // Copies of the one may destroy what was never made; destructors of the other allocate.
  for (const fs::path& file : test::sources_of(SLUICE_SOURCE_DIR, {"src", "include", "cli"})) {
    const std::string text = read_file(file);
    if (file.filename() != "one_of.hpp") {
      EXPECT_EQ(text.find("std::variant<"), std::string::npos) << file << ": see base/one_of.hpp";
    }
    if (file.filename() != "json.cpp" && file.filename() != "json_text.cpp") {
      EXPECT_EQ(text.find("<nlohmann/"), std::string::npos) << file << ": see base/value.hpp";
    }
  }
}

}  // namespace
}  // namespace sluice
