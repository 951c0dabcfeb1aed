// What depends on the name of a file of results is asked of LabDirectory.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "sluice/base/file.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "support/literals.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Lab = LabDirectory;

TEST(LabDirectory, NoOtherSourceNamesItsFiles) {
  const std::vector<std::string> files = {
      Lab::results_name,   Lab::run_table_name,  Lab::inspection_name, Lab::claims_name,
      Lab::report_name,    Lab::layers_name,     Lab::lags_name,       Lab::context_name,
      Lab::surprisal_name, Lab::run_record_name, Lab::report_list_name};
  const std::vector<std::string> directories = {Lab::report_tables_name, Lab::runs_name,
                                                Lab::measured_name};
  std::size_t sources = 0;
  for (const fs::path& file :
       test::sources_of(SLUICE_SOURCE_DIR, {"src", "cli", "include", "examples"})) {
    if (file.filename() == "lab_directory.hpp") continue;
    ++sources;
    for (const test::Literal& literal : test::literals(read_file(file))) {
      for (const std::string& name : files) {
        EXPECT_FALSE(test::has_word(literal.text, name))
            << file << " says \"" << literal.text << "\"";
      }
      // These are words, too; they name a directory at the end of a path, or before its files.
      for (const std::string& name : directories) {
        EXPECT_FALSE(literal.text == name && literal.before.ends_with("/")) << file;
        EXPECT_FALSE(test::has_word(literal.text, name + "/")) << file << literal.text;
      }
    }
  }
  EXPECT_GT(sources, 100U);
}

TEST(LabDirectory, FilesAreWhereTheyHaveAlwaysBeen) {
  const LabDirectory out("out");
  EXPECT_EQ(out.path(), "out");
  EXPECT_EQ(out.results_file(), "out/results.json");
  EXPECT_EQ(out.run_table_file(), "out/runs.csv");
  EXPECT_EQ(out.inspection_file(), "out/inspect.json");
  EXPECT_EQ(out.claims_file(), "out/claims.json");
  EXPECT_EQ(out.report_file(), "out/report.html");
  EXPECT_EQ(out.report_tables(), "out/report");
  EXPECT_EQ(out.run("0a1b"), "out/runs/0a1b");
  EXPECT_EQ(out.measured_file("0a1b"), "out/measured/0a1b.json");
}

}  // namespace
}  // namespace sluice
