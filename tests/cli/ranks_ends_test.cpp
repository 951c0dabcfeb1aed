// Several processes under a real mpirun end together: at a signal, where one dies or hangs.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "ranks.hpp"
#include "sluice/base/file.hpp"
#include "support/eventually.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;

// mpirun waits for all of its grace before it passes the signal on, and kills who is not done after
// as much again: who needs more gets it.
TEST_F(Ranks, OneSignalSavesOnceAndEndsAll) {
  Outcome outcome;
  std::size_t said = std::string::npos;
  for (const int grace : {2, 20, 100}) {
    fs::remove_all(path("out"));
    Process job(on(2, six("out", {"--steps", endless_steps, "--validate-every", endless_steps})),
                options(grace));
    await_training(job);
    job.signal(SIGINT);
    outcome = job.wait();
    EXPECT_GE(outcome.status, 1);
    said = outcome.out.find("interrupted after step");
    if (said != std::string::npos) break;
  }
  ASSERT_NE(said, std::string::npos) << outcome.out << outcome.err;
  EXPECT_EQ(outcome.out.find("interrupted", said + 1), std::string::npos);
  EXPECT_EQ(run({"train", "--resume", "--out", path("out"), "--steps", "1"}).status, 0);
}

TEST_F(Ranks, RefuseWhatTheyCannotShare) {
  std::vector<std::string> two = six("out", {"--steps", "3"});
  *std::find(two.begin(), two.end(), "6") = "2";
  const Outcome many = run_on(3, two);
  EXPECT_NE(many.err.find("3 processes cannot share the 2 micro-batches of a step"),
            std::string::npos)
      << many.err;
  EXPECT_EQ(many.err.rfind("sluice train: rank 0 on ", 0), 0U) << many.err;
  EXPECT_FALSE(fs::exists(path("out")));
  const Outcome info = run_on(2, {"info", path("nothing")});
  EXPECT_EQ(info.status, 2);
  EXPECT_NE(info.err.find("sluice info: the command runs in one process"), std::string::npos)
      << info.err;
}

// The job ends at once, what was saved is whole, and the run goes on to the weights that it would
// have had.
TEST_F(Ranks, OneThatDiesEndsTheJob) {
  const auto flags = [](const std::string& steps) {
    return std::vector<std::string>{
        "--steps", steps,        "--validate-every", endless_steps, "--checkpoint-every",
        "7",       "--schedule", "constant"};
  };
  Process job(on(2, six("out", flags(endless_steps))), options());
  await_training(job);
  ASSERT_TRUE(eventually([&] { return fs::exists(path("out") + "/checkpoint.safetensors"); }));
  EXPECT_EQ(signal_rank(1, SIGKILL), 1);
  EXPECT_TRUE(job.ends());
  const Outcome outcome = job.wait();
  EXPECT_NE(outcome.status, 0);
  const std::string steps = std::to_string(saved_step("out") + 30);
  const Outcome resumed =
      run_on(2, {"train", "--resume", "--out", path("out"), "--steps", steps, "--threads", "1"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  ASSERT_EQ(run(six("whole", flags(steps))).status, 0);
  EXPECT_EQ(read_file(path("out") + "/model.safetensors"),
            read_file(path("whole") + "/model.safetensors"));
}

// Of those that miss it, one speaks; where the system lets one of them wait, the next may speak,
// too. That it is one, and which, is SpeakingTurn's test in comm, by a clock of its own.
TEST_F(Ranks, TheFirstOneHangs) {
  Process job(on(3, six("out", {"--steps", endless_steps, "--validate-every", endless_steps,
                                "--timeout", "12"})),
              options());
  await_training(job);
  EXPECT_EQ(signal_rank(0, SIGSTOP), 1);
  ASSERT_TRUE(job.ends());
  const Outcome outcome = job.wait();
  EXPECT_NE(outcome.status, 0);
  EXPECT_TRUE(std::regex_search(
      outcome.err, std::regex("sluice train: rank [12] on .*: rank 0 on .* has shown no sign of "
                              "life for 12 seconds")))
      << outcome.err;
}

// The first one's thread that speaks is well; the one that computes waits for input. That may be in
// order: the job goes on, and the user hears for whom it waits.
TEST_F(Ranks, WhoIsWaitedForIsNamed) {
  const std::string text = read_file(text_), input = path("input");
  text_ = "-";
  ASSERT_EQ(::mkfifo(input.c_str(), 0600), 0);
  // For reading, too, so that opening it waits for nobody.
  const int pipe = ::open(input.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(pipe, 0);
  ProcessOptions told = options();
  told.error_file = path("told");
  const std::string launcher = std::exchange(told.program, "/bin/sh");
  std::vector<std::string> command = {"-c", "exec " + launcher + " \"$@\" <" + input, "sh"};
  for (std::string& word : on(2, six("out", {"--steps", "3", "--timeout", "4"}))) {
    command.push_back(std::move(word));
  }
  Process job(command, told);
  const std::regex sentence(
      "sluice train: rank 0 on .* has kept the others waiting for 4 seconds and lives");
  EXPECT_TRUE(eventually([&] {
    return fs::exists(told.error_file) && std::regex_search(read_file(told.error_file), sentence);
  }));
  EXPECT_FALSE(job.ended_within(0));
  EXPECT_EQ(::write(pipe, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::close(pipe);
  EXPECT_EQ(job.wait().status, 0) << read_file(told.error_file);
}

}  // namespace
}  // namespace sluice::cli_test
