// What depends on an architecture is asked of it: no source but its own says its name.

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string>
#include <vector>

#include "sluice/base/file.hpp"
#include "sluice/models/config.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// The string literals of a C++ source, raw ones too, without comments and #include lines.
/// Continued lines are not understood; the house has none.
std::vector<std::string> literals(const std::string& source) {
  std::vector<std::string> found;
  bool line_start = true;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source.compare(i, 2, "//") == 0 || (line_start && source[i] == '#')) {
      while (i < source.size() && source[i] != '\n') ++i;
    } else if (source[i] == '\'') {
      // A character, or a separator of digits, which has digits on both sides.
      const bool separator = i > 0 && std::isxdigit(static_cast<unsigned char>(source[i - 1]));
      if (!separator) i = source.find('\'', source[i + 1] == '\\' ? i + 3 : i + 2);
    } else if (source[i] == '"' && i > 0 && source[i - 1] == 'R') {
      const std::size_t begin = std::min(source.find('(', i), source.size() - 1) + 1;
      const std::string end = ")" + source.substr(i + 1, begin - i - 2) + "\"";
      const std::size_t length = std::min(source.find(end, begin), source.size()) - begin;
      found.push_back(source.substr(begin, length));
      i = begin + length + end.size() - 1;
    } else if (source[i] == '"') {
      std::string text;
      for (++i; i < source.size() && source[i] != '"'; ++i) {
        if (source[i] == '\\') text += source[i++];
        text += source[i];
      }
      found.push_back(std::move(text));
    }
    if (i < source.size()) line_start = source[i] == '\n' || (line_start && source[i] == ' ');
  }
  return found;
}

bool has_word(const std::string& text, const std::string& word) {
  const auto letter = [&](std::size_t i) {
    return i < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '_' || text[i] == '-');
  };
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    if (!(at > 0 && letter(at - 1)) && !letter(at + word.size())) return true;
  }
  return false;
}

/// An architecture's own: src/models/recurrent.cpp, include/sluice/models/gcnn.hpp,
/// src/models/gcnn_presets.cpp.
bool own(const fs::path& file) {
  const std::string name = file.filename();
  if (file.parent_path().filename() != "models") return false;
  return std::ranges::any_of(std::vector<std::string>{"gcnn", "recurrent", "transformer"},
                             [&](const std::string& stem) { return name.starts_with(stem); });
}

TEST(Architectures, NoOtherSourceNamesOne) {
  EXPECT_EQ(literals("// \"gcnn\"\nf(\"a \\\" b\", '\"', 1'000, \"lstm\");\n#include \"gru\"\n"),
            (std::vector<std::string>{"a \\\" b", "lstm"}));
  EXPECT_EQ(literals("f(R\"({\"arch\": \"lstm\"})\", R\"x(a)\" // \"b\")x\", \"gru\");\n"),
            (std::vector<std::string>{"{\"arch\": \"lstm\"}", "a)\" // \"b\"", "gru"}));
  EXPECT_TRUE(has_word("--arch lstm", "lstm") && !has_word("lstms", "lstm"));

  // The rooms up to nn build layers, which have names of their own. A preset's name (gcnn-14) is
  // another word: src/training/recipes.cpp says which model was trained as users say it.
  std::size_t sources = 0;
  for (const char* room :
       {"src/text", "src/models", "src/inference", "src/training", "src/lab", "src/server", "cli",
        "examples", "include/sluice/text", "include/sluice/models", "include/sluice/inference",
        "include/sluice/training", "include/sluice/lab", "include/sluice/server"}) {
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(SLUICE_SOURCE_DIR) / room)) {
      const fs::path& file = entry.path();
      if ((file.extension() != ".cpp" && file.extension() != ".hpp") || own(file)) continue;
      ++sources;
      for (const std::string& text : literals(read_file(file))) {
        for (const std::string& arch : architecture_names()) {
          if (arch == "ngram") continue;  // the tests' own, and a word of files of n-grams
          EXPECT_FALSE(has_word(text, arch)) << file << " says \"" << text << "\"";
        }
      }
    }
  }
  EXPECT_GT(sources, 100U);
}

}  // namespace
}  // namespace sluice
