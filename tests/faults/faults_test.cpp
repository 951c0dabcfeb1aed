// Faults injected, one at a time: whatever the system refuses, a command ends with one sentence and
// status 1, or with status 0 and the right result; nothing stray is left, and what a run had saved
// loads and goes on to the same weights.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cli/program.hpp"
#include "sluice/base/file.hpp"
#include "support.hpp"
#include "support/packing.hpp"

namespace sluice::faults {
namespace {

namespace fs = std::filesystem;
using cli_test::Outcome;
using cli_test::ProcessOptions;
using cli_test::run;

/// Every fault when the tests are the slow ones, a few of each kind else.
bool exhaustive() { return std::getenv("SLUICE_EXHAUSTIVE") != nullptr; }

/// A command, what must be there before it, and what must hold once it has ended.
struct Case {
  std::string name;
  std::vector<std::string> arguments;
  /// Makes the scratch directory as the command finds it.
  std::function<void()> prepare;
  /// Called after a fault: `ended` is how the command with it did.
  std::function<void(const Outcome& ended)> check;
};

class Faults : public cli_test::ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", cli_test::sample_text(1000));
    lines_ = write("lines.txt", "the cat sat on the mat .\na bird saw the sea .\n");
    whole_ = path("whole");
    ASSERT_EQ(run(training(whole_)).status, 0);
    begun_ = path("begun");
    ASSERT_EQ(run(training(begun_, "3")).status, 0);
    weights_ = read_file(whole_ + "/model.safetensors");
    fs::create_directory(path("work"));
    fs::create_directory(path("tmp"));
  }

  std::vector<std::string> training(const std::string& out, const std::string& steps = "6") const {
    return cli_test::tiny_training(text_, out,
                                   {"--steps", steps, "--validate-every", "2", "--checkpoint-every",
                                    "1", "--log-every", "1", "--schedule", "constant"});
  }
  std::string out() const { return path("work/out"); }
  void clean() const {
    fs::remove_all(path("work"));
    fs::create_directory(path("work"));
  }

  /// The run in out() goes on, or is begun anew, to the weights of the run without a fault.
  void expect_same_weights(bool anew) const {
    const bool saved = fs::exists(out() + "/checkpoint.safetensors");
    ASSERT_TRUE(saved || anew) << "the last checkpoint is gone";
    const Outcome again =
        saved ? run({"train", "--resume", "--out", out(), "--steps", "6"}) : run(training(out()));
    ASSERT_EQ(again.status, 0) << again.err;
    EXPECT_EQ(tensors_of(out() + "/model.safetensors"), tensors_of(whole_ + "/model.safetensors"));
  }

  /// Runs the case with one fault after another.
  void inject(const Case& test, const std::vector<std::string>& kinds);

  /// How many operations of each kind the case has without a fault.
  std::map<std::string, long> count(const Case& test) const;
  ProcessOptions options(const std::string& fault) const {
    return {.environment = {"LD_PRELOAD=" SLUICE_FAULT_LAYER, "SLUICE_FAULT_ROOT=" + path("work"),
                            "SLUICE_FAULT=" + fault, "SLUICE_FAULT_COUNTS=" + path("counts"),
                            "TMPDIR=" + path("tmp")}};
  }

  std::string text_, lines_, whole_, begun_, weights_;
  long injected_ = 0, refused_ = 0;
};

std::map<std::string, long> Faults::count(const Case& test) const {
  test.prepare();
  const Outcome outcome = run(test.arguments, options("none:0"));
  EXPECT_EQ(outcome.status, 0) << test.name << ": " << outcome.err;
  std::map<std::string, long> counts;
  std::ifstream file(path("counts"));
  std::string kind;
  for (long n = 0; file >> kind >> n;) counts[kind] = n;
  return counts;
}

void Faults::inject(const Case& test, const std::vector<std::string>& kinds) {
  const std::map<std::string, long> counts = count(test);
  for (const std::string& kind : kinds) {
    const long all = counts.contains(kind) ? counts.at(kind) : 0;
    for (const long n : chosen(all, exhaustive(), kind)) {
      for (const char* ever : {"", "+"}) {
        if (*ever != '\0' && !exhaustive() && n % 3 != 0) continue;
        test.prepare();
        const std::string fault = kind + ":" + std::to_string(n) + ever;
        SCOPED_TRACE(test.name + ", " + fault);
        const Outcome ended = run(test.arguments, options(fault));
        ++injected_;
        ASSERT_TRUE(ended.status == 0 || ended.status == 1) << ended.status << ": " << ended.err;
        if (ended.status == 1) {
          ++refused_;
          // Of threads that cannot be started, OpenMP's library says so itself.
          EXPECT_TRUE(is_sentence(ended.err) || kind == "thread") << ended.err;
        }
        for (const std::string& name : strays(path("work"))) {
          // What cannot be removed because removing fails is removed by the next run.
          EXPECT_TRUE(kind == "remove" || kind == "file" || kind == "memory" || *ever != '\0')
              << name;
        }
        EXPECT_TRUE(fs::is_empty(path("tmp"))) << "something is left in the temporary directory";
        test.check(ended);
        if (HasFatalFailure()) return;
      }
    }
  }
  RecordProperty(test.name + "_injected", static_cast<int>(injected_));
  std::printf("[          ] %s: %ld faults, %ld refused\n", test.name.c_str(), injected_, refused_);
}

const std::vector<std::string> of_files = {"open",  "read",     "write", "sync", "rename", "remove",
                                           "mkdir", "truncate", "lock",  "stat", "map",    "list"};
const std::vector<std::string> of_all = [] {
  std::vector<std::string> all = of_files;
  all.insert(all.end(), {"memory", "thread"});
  return all;
}();

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
