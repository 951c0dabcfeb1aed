// Faults injected, one at a time: whatever the system refuses, a command ends with one sentence and
// status 1, or with status 0 and the right result; nothing stray is left, and what a run had saved
// loads and goes on to the same weights.

#include "faults.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "sluice/base/file.hpp"
#include "support.hpp"
#include "support/packing.hpp"

namespace sluice::faults {
namespace {

namespace fs = std::filesystem;
using cli_test::Outcome;
using cli_test::run;

TEST_F(Faults, OfTraining) {
  inject({.name = "train",
          .arguments = training(out()),
          .prepare = [&] { clean(); },
          .check = [&](const Outcome&) { expect_same_weights(true); }},
         of_all);
}

TEST_F(Faults, OfAResumedTraining) {
  inject({.name = "resume",
          .arguments = {"train", "--resume", "--out", out(), "--steps", "6"},
          .prepare =
              [&] {
                clean();
                fs::copy(begun_, out(), fs::copy_options::recursive);
              },
          .check = [&](const Outcome&) { expect_same_weights(false); }},
         of_all);
}

TEST_F(Faults, OfCommandsThatRead) {
  const std::string model = path("work/model");
  const auto prepare = [&] {
    clean();
    fs::copy(whole_, model, fs::copy_options::recursive);
  };
  const std::vector<std::vector<std::string>> commands = {
      {"eval", model, text_, "--json"},
      {"score", model, lines_, "--words"},
      {"generate", model, "--tokens", "20", "--prompt", "the"},
      {"info", model, "--json"},
      {"inspect", model, "--text", text_, "--out", out(), "--tokens", "100"}};
  for (const auto& arguments : commands) {
    prepare();
    const std::string said = without_times(run(arguments).out);
    inject({.name = arguments.front(),
            .arguments = arguments,
            .prepare = prepare,
            .check =
                [&](const Outcome& ended) {
                  // A result is the right one, or none is claimed.
                  if (ended.status == 0) {
                    EXPECT_EQ(without_times(ended.out), said);
                  }
                  EXPECT_EQ(read_file(model + "/model.safetensors"), weights_);
                }},
           of_all);
  }
}

/// Packed text is unpacked into a file without a name, by a thread while it is read.
TEST_F(Faults, OfPackedTexts) {
  const std::string model = path("work/model"), packed = path("work/packed");
  for (const auto& [name, pack] : packers()) {
    const std::string bytes = pack(read_file(text_));
    const auto prepare = [&, &bytes = bytes] {
      clean();
      fs::copy(whole_, model, fs::copy_options::recursive);
      write("work/packed", bytes);
    };
    prepare();
    // It multiplies no matrices: oneDNN 2.6 itself does not survive some failed allocations.
    const std::vector<std::string> arguments = {"vocabulary", model, packed};
    const std::string said = run(arguments).out;
    inject({.name = "counting words of " + name,
            .arguments = arguments,
            .prepare = prepare,
            .check =
                [&](const Outcome& ended) {
                  if (ended.status == 0) {
                    EXPECT_EQ(ended.out, said);
                  }
                  EXPECT_EQ(read_file(packed), bytes);
                }},
           exhaustive() ? of_all : std::vector<std::string>{"open", "read", "stat", "memory"});
  }
  std::vector<std::string> arguments = training(out());
  std::replace(arguments.begin(), arguments.end(), text_, packed);
  inject({.name = "train on gz",
          .arguments = arguments,
          .prepare =
              [&] {
                clean();
                write("work/packed", packers().at("gz")(read_file(text_)));
              },
          .check = [&](const Outcome&) { expect_same_weights(true); }},
         exhaustive() ? of_files : std::vector<std::string>{"open", "read"});
}

TEST_F(Faults, OfComparisonsAndReports) {
  const std::vector<std::string> comparison = {
      "compare",   "--data",       text_,         "--out",   out(),
      "--vary",    "unit=glu,gtu", "--seeds",     "1",       "--lr-grid",
      "0.01",      "--layers",     "[(8,2)]",     "--batch", "4",
      "--context", "16",           "--tokenizer", "word",    "--steps",
      "2",         "--threads",    "1",           "--jobs",  "1"};
  const auto again = [&](const Outcome&) {
    const Outcome next = run(comparison);
    ASSERT_EQ(next.status, 0) << next.err;
    EXPECT_TRUE(fs::exists(out() + "/report.html"));
  };
  inject({.name = "compare", .arguments = comparison, .prepare = [&] { clean(); }, .check = again},
         exhaustive() ? of_all : std::vector<std::string>{"file", "memory"});
  inject({.name = "report",
          .arguments = {"report", out()},
          .prepare =
              [&] {
                if (!fs::exists(out() + "/results.json")) again({});
              },
          .check =
              [&](const Outcome&) {
                EXPECT_EQ(run({"report", out()}).status, 0);
              }},
         of_all);
}

}  // namespace
}  // namespace sluice::faults
