// What depends on an architecture is asked of it: no source but its own says its name.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "sluice/base/file.hpp"
#include "sluice/models/config.hpp"
#include "support/literals.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using test::has_word;
using test::literal_texts;

/// An architecture's own: src/models/recurrent.cpp, include/sluice/models/gcnn.hpp,
/// src/models/gcnn_presets.cpp.
bool own(const fs::path& file) {
  const std::string name = file.filename();
  if (file.parent_path().filename() != "models") return false;
  return std::ranges::any_of(std::vector<std::string>{"gcnn", "recurrent", "transformer"},
                             [&](const std::string& stem) { return name.starts_with(stem); });
}

TEST(Architectures, NoOtherSourceNamesOne) {
  EXPECT_EQ(
      literal_texts("// \"gcnn\"\nf(\"a \\\" b\", '\"', 1'000, \"lstm\");\n#include \"gru\"\n"),
      (std::vector<std::string>{"a \\\" b", "lstm"}));
  EXPECT_EQ(literal_texts("f(R\"({\"arch\": \"lstm\"})\", R\"x(a)\" // \"b\")x\", \"gru\");\n"),
            (std::vector<std::string>{"{\"arch\": \"lstm\"}", "a)\" // \"b\"", "gru"}));
  EXPECT_TRUE(has_word("--arch lstm", "lstm") && !has_word("lstms", "lstm"));

  // The rooms up to nn build layers, which have names of their own. A preset's name (gcnn-14) is
  // another word: src/training/recipes.cpp says which model was trained as users say it.
  std::size_t sources = 0;
  for (const fs::path& file : test::sources_of(
           SLUICE_SOURCE_DIR,
           {"src/text", "src/models", "src/inference", "src/training", "src/lab", "src/server",
            "cli", "examples", "include/sluice/text", "include/sluice/models",
            "include/sluice/inference", "include/sluice/training", "include/sluice/lab",
            "include/sluice/server"})) {
    if (own(file)) continue;
    ++sources;
    for (const std::string& text : literal_texts(read_file(file))) {
      for (const std::string& arch : architecture_names()) {
        if (arch == "ngram") continue;  // the tests' own, and a word of files of n-grams
        EXPECT_FALSE(has_word(text, arch)) << file << " says \"" << text << "\"";
      }
    }
  }
  EXPECT_GT(sources, 100U);
}

}  // namespace
}  // namespace sluice
