// The program where others have set limits: nobody reads what it prints, its stack is small, its
// rights are fewer, its environment is odd.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // which takes memory and stack of its own
#else
constexpr bool sanitized = false;
#endif

class Confined : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", sample_text(300));
    model_ = path("model");
    ASSERT_EQ(run(tiny_training(text_, model_, {"--steps", "3"})).status, 0);
  }
  /// Runs a script of bash, whose $1, $2 and so on are the arguments.
  static Outcome bash(const std::string& script, std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {"-c", script, "bash"});
    return run(arguments, {.program = "/bin/bash"});
  }

  std::string text_, model_;
};

TEST_F(Confined, AClosedReaderOfStandardOutputEndsItQuietly) {
  // Nobody reads the pipe any more when the program begins.
  const std::string unread =
      R"(mkfifo "$1" && exec 3<>"$1" 4>"$1" 3<&- && rm "$1" && shift && exec "$@" >&4)";
  const auto run_unread = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {path("pipe"), SLUICE_BINARY});
    return bash(unread, arguments);
  };
  constexpr int by_the_pipe = 141;  // SIGPIPE, as other programs end
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--help"},
                                             {"units"},
                                             {"info", model_, "--json"},
                                             {"score", model_, text_},
                                             {"generate", model_, "--tokens", "5"},
                                             {"eval", model_, text_}}) {
    const Outcome outcome = run_unread(arguments);
    EXPECT_TRUE(outcome.status == by_the_pipe || outcome.status == 0) << outcome.status;
    EXPECT_EQ(outcome.err, "") << arguments.front();
  }
  // A training goes on: its result is its model.
  const std::string other = path("other");
  const Outcome outcome = run_unread(tiny_training(text_, other, {"--steps", "3"}));
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(run({"info", other}).status, 0);
}

TEST_F(Confined, ASmallStackIsEnough) {
  if (sanitized) GTEST_SKIP() << "a sanitizer needs a larger stack";
  const std::string small = R"(ulimit -s 64 && exec "$@")";
  // What gnuplot makes of such a stack is its own affair.
  const int plotted =
      bash(small, {SLUICE_BINARY, "units", "glu", "--plot", path("pictures")}).status;
  EXPECT_TRUE(plotted == 0 || plotted == 1) << plotted;
  EXPECT_EQ(bash(small, {SLUICE_BINARY, "score", model_, text_}).status, 0);
}

TEST_F(Confined, WhatNoLauncherSaysIsNamedByWhoeverFindsIt) {
  for (const std::vector<std::string>& environment : std::vector<std::vector<std::string>>{
           {"SLURM_STEP_NUM_TASKS=99999999999999", "SLURM_PROCID=-5"},
           {"SLURM_STEP_NUM_TASKS=3", "SLURM_PROCID=-5"},
           {"PMI_SIZE=2x", "PMI_RANK=1"}}) {
    const Outcome outcome = run({"eval", model_, text_}, {.environment = environment});
    EXPECT_TRUE(complains(outcome, 1, "eval", "expected a whole number")) << outcome.err;
  }
}

/// The example of docs/security.md that begins so, for this program and these files; empty when
/// there is none.
std::string example(const std::string& beginning, const std::string& model,
                    const std::string& text) {
  const std::string page = read_file(SLUICE_SOURCE_DIR "/docs/security.md");
  const std::size_t begin = page.find("```\n" + beginning);
  if (begin == std::string::npos) return "";
  std::string script = page.substr(begin + 4, page.find("\n```", begin) - begin - 4);
  const auto replace = [&](const std::string& what, const std::string& by) {
    const std::size_t at = script.find(what);
    if (at != std::string::npos) script.replace(at, what.size(), by);
    return at != std::string::npos;
  };
  const bool placed = replace("MODEL", model) && replace("TEXT", text) &&
                      (replace("\"$PWD/build/release/cli/sluice\"", SLUICE_BINARY) ||
                       replace("sluice score", SLUICE_BINARY " score"));
  return placed ? script : "";
}

TEST_F(Confined, WithoutRightsItWorksAsTheManualSays) {
  const std::string script = example("(ulimit", model_, text_);
  ASSERT_NE(script, "") << "docs/security.md has no such example";
  if (sanitized) GTEST_SKIP() << "a sanitizer needs more address space";
  if (::geteuid() != 0) GTEST_SKIP() << "only root has rights to give up";
  fs::permissions(directory_, fs::perms(0755));  // for nobody, too
  if (bash("setpriv --reuid 65534 --regid 65534 --clear-groups test -x \"$1\" -a -r \"$2\"",
           {SLUICE_BINARY, text_})
          .status != 0) {
    GTEST_SKIP() << "there is no setpriv, or nobody may not read where this was built";
  }
  const Outcome confined = bash(script);
  EXPECT_EQ(confined.status, 0) << confined.err;
  EXPECT_EQ(confined.out, run({"score", model_, text_}).out);
}

TEST_F(Confined, SeeingNothingElseItWorksAsTheManualSays) {
  const std::string script = example("bwrap", model_, text_);
  ASSERT_NE(script, "") << "docs/security.md has no such example";
  if (sanitized) GTEST_SKIP() << "a sanitizer needs libraries of its own";
  if (bash("bwrap --ro-bind / / --unshare-all true").status != 0) {
    GTEST_SKIP() << "there is no bubblewrap, or it may not make namespaces here";
  }
  const Outcome confined = bash(script);
  EXPECT_EQ(confined.status, 0) << confined.err;
  EXPECT_NE(confined.out.find("perplexity"), std::string::npos) << confined.out;
}

}  // namespace
}  // namespace sluice::cli_test
