// Several processes under a real mpirun: they make the model of one, bit for bit, and end together.

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;

constexpr const char* mpirun = "/usr/bin/mpirun";

class Ranks : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    if (!fs::exists(mpirun) || !fs::exists(SLUICE_MPI_MODULE)) {
      ASSERT_EQ(std::getenv("SLUICE_REQUIRE_MPI"), nullptr) << "MPI is missing";
      GTEST_SKIP() << "no mpirun, or built without MPI: ./dev setup mpi installs both";
    }
    text_ = write("text.txt", sample_text(400));
  }

  static ProcessOptions options() {
    return {.environment = {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                            "OMPI_MCA_odls_base_sigkill_timeout=2",
                            "OMPI_MCA_rmaps_base_oversubscribe=1", "OMP_WAIT_POLICY=passive",
                            "OMPI_MCA_hwloc_base_binding_policy=none"},
            .program = mpirun};
  }
  static std::vector<std::string> on(int ranks, std::vector<std::string> command) {
    std::vector<std::string> all{"--quiet", "-n", std::to_string(ranks), SLUICE_BINARY};
    all.insert(all.end(), command.begin(), command.end());
    return all;
  }
  static Outcome run_on(int ranks, const std::vector<std::string>& command) {
    return run(on(ranks, command), options());
  }
  /// A run of six micro-batches a step.
  std::vector<std::string> six(const std::string& out, const std::vector<std::string>& more) const {
    std::vector<std::string> all = {
        "train", "--data",    text_, "--out",       path(out), "--batch",      "1", "--context",
        "8",     "--threads", "1",   "--log-every", "4",       "--accumulate", "6"};
    all.insert(all.end(), more.begin(), more.end());
    if (std::find(all.begin(), all.end(), "--arch") == all.end()) {
      all.insert(all.end(), {"--layers", "[(16,3)]*2", "--dim", "16"});
    }
    return all;
  }
  /// What the runs left behind, times apart.
  void expect_same(const std::string& a, const std::string& b) const {
    EXPECT_EQ(read_file(path(a) + "/model.safetensors"), read_file(path(b) + "/model.safetensors"));
    EXPECT_EQ(lines_of(a), lines_of(b));
  }
  std::vector<nlohmann::json> lines_of(const std::string& out) const {
    std::ifstream file(path(out) + "/metrics.jsonl");
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(file, line);) {
      lines.push_back(nlohmann::json::parse(line));
      for (const char* timed : {"seconds", "tokens_per_second", "check"}) lines.back().erase(timed);
    }
    return lines;
  }

  std::string text_;
};

TEST_F(Ranks, MakeTheModelOfOneProcess) {
  const std::vector<std::vector<std::string>> kinds = {
      {"--steps", "9", "--dropout", "0.2", "--tokenizer", "word", "--min-count", "1", "--softmax",
       "adaptive"},
      {"--steps", "6", "--arch", "lstm", "--norm", "batch", "--hidden", "12", "--dim", "8",
       "--optimizer", "nesterov", "--precision", "f32"}};
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const std::string name = std::to_string(i);
    ASSERT_EQ(run(six("one" + name, kinds[i])).status, 0);
    for (const int ranks : {2, 3}) {
      const std::string out = name + "on" + std::to_string(ranks);
      const Outcome outcome = run_on(ranks, six(out, kinds[i]));
      ASSERT_EQ(outcome.status, 0) << outcome.err << outcome.out;
      expect_same("one" + name, out);
      // One of them speaks.
      const std::string::size_type first = outcome.out.find("finished: ");
      EXPECT_NE(first, std::string::npos) << outcome.out;
      EXPECT_EQ(outcome.out.find("finished: ", first + 1), std::string::npos) << outcome.out;
    }
  }
}

TEST_F(Ranks, ARunGoesOnWithAnotherNumberOfThem) {
  ASSERT_EQ(run(six("whole", {"--steps", "12"})).status, 0);
  ASSERT_EQ(run_on(3, six("parts", {"--steps", "5", "--schedule", "constant"})).status, 0);
  ASSERT_EQ(run(six("same", {"--steps", "5", "--schedule", "constant"})).status, 0);
  expect_same("same", "parts");
  const std::vector<std::string> rest = {"train",   "--resume", "--out",     path("parts"),
                                         "--steps", "12",       "--threads", "1"};
  const Outcome two = run_on(2, rest);
  ASSERT_EQ(two.status, 0) << two.err;
  ASSERT_EQ(run(std::vector<std::string>{"train", "--resume", "--out", path("same"), "--steps",
                                         "12", "--threads", "1"})
                .status,
            0);
  expect_same("same", "parts");
}

TEST_F(Ranks, OneSignalSavesOnceAndEndsAll) {
  Process job(on(2, six("out", {"--steps", "100000", "--validate-every", "100000"})), options());
  for (int i = 0; i < 300 && !fs::exists(path("out") + "/metrics.jsonl"); ++i) {
    ASSERT_FALSE(job.ended_within(100));
  }
  job.ended_within(300);
  job.signal(SIGINT);
  const Outcome outcome = job.wait();
  EXPECT_GE(outcome.status, 1);
  EXPECT_NE(outcome.out.find("interrupted after step"), std::string::npos)
      << outcome.out << outcome.err;
  EXPECT_EQ(outcome.out.find("interrupted", outcome.out.find("interrupted") + 1),
            std::string::npos);
  EXPECT_EQ(run({"train", "--resume", "--out", path("out"), "--steps", "1"}).status, 0);
}

TEST_F(Ranks, OneThatDiffersIsNamed) {
  const std::string other = write("other.txt", sample_text(300));
  std::vector<std::string> command = on(1, six("out", {"--steps", "3"}));
  const std::vector<std::string> second = {":", "-n", "1", SLUICE_BINARY};
  command.insert(command.end(), second.begin(), second.end());
  std::vector<std::string> differing = six("out", {"--steps", "3", "--seed", "7"});
  command.insert(command.end(), differing.begin(), differing.end());
  const Outcome outcome = run(command, options());
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("sluice train: rank 1 on "), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find(" has another configuration than rank 0 on "), std::string::npos)
      << outcome.err;
  EXPECT_FALSE(fs::exists(path("out")));
}

TEST_F(Ranks, RefuseWhatTheyCannotShare) {
  std::vector<std::string> two = six("out", {"--steps", "3"});
  *std::find(two.begin(), two.end(), "6") = "2";
  const Outcome many = run_on(3, two);
  EXPECT_NE(many.err.find("3 processes cannot share the 2 micro-batches of a step"),
            std::string::npos)
      << many.err;
  EXPECT_FALSE(fs::exists(path("out")));
  const Outcome info = run_on(2, {"info", path("nothing")});
  EXPECT_EQ(info.status, 2);
  EXPECT_NE(info.err.find("sluice info: the command runs in one process"), std::string::npos)
      << info.err;
}

/// runs.csv without what takes time, and the verdicts.
std::string results_of(const std::string& directory) {
  auto results = nlohmann::json::parse(read_file(directory + "/results.json"));
  std::string out;
  for (const auto& run : results.at("runs")) {
    out += run.at("run").get<std::string>() + run.at("final_loss").dump() + "\n";
  }
  return out;
}

TEST_F(Ranks, ShareTheRunsOfAComparison) {
  const auto compare = [&](const std::string& out) {
    return std::vector<std::string>{
        "compare",   "--data",      text_,     "--out",   path(out),   "--vary",    "unit=glu,tanh",
        "--steps",   "8",           "--seeds", "2",       "--lr-grid", "0.01,0.02", "--layers",
        "[(8,2)]",   "--tokenizer", "char",    "--batch", "2",         "--context", "8",
        "--threads", "1",           "--jobs",  "1",       "--match",   "width"};
  };
  ASSERT_EQ(run(compare("one")).status, 0);
  const Outcome shared = run_on(3, compare("shared"));
  ASSERT_EQ(shared.status, 0) << shared.err << shared.out;
  EXPECT_EQ(results_of(path("shared")), results_of(path("one")));
  EXPECT_TRUE(fs::exists(path("shared") + "/report.html"));
}

// The job ends at once, what was saved is whole, and the run goes on to the weights that it would
// have had.
TEST_F(Ranks, OneThatDiesEndsTheJob) {
  const std::vector<std::string> more = {
      "--steps", "4000", "--validate-every", "4000", "--checkpoint-every", "7"};
  Process job(on(2, six("out", more)), options());
  for (int i = 0; i < 300 && !fs::exists(path("out") + "/metrics.jsonl"); ++i) {
    ASSERT_FALSE(job.ended_within(100));
  }
  job.ended_within(200);
  int killed = 0;
  for (const auto& process : fs::directory_iterator("/proc")) {
    std::ifstream file(process.path() / "environ");
    std::string environment((std::istreambuf_iterator<char>(file)), {});
    std::ifstream commands(process.path() / "cmdline");
    std::string line((std::istreambuf_iterator<char>(commands)), {});
    if (environment.find("OMPI_COMM_WORLD_RANK=1") == std::string::npos ||
        line.find(path("out")) == std::string::npos) {
      continue;
    }
    ::kill(std::stoi(process.path().filename()), SIGKILL);
    ++killed;
  }
  EXPECT_EQ(killed, 1);
  EXPECT_TRUE(job.ended_within(20'000));
  const Outcome outcome = job.wait();
  EXPECT_NE(outcome.status, 0);
  const std::vector<std::string> rest = {"--resume", "--steps",    "60",      "--validate-every",
                                         "30",       "--schedule", "constant"};
  std::vector<std::string> again = {"train", "--out", path("out"), "--threads", "1"};
  again.insert(again.end(), rest.begin(), rest.end());
  const Outcome resumed = run_on(2, again);
  EXPECT_EQ(resumed.status, 0) << resumed.err;
}

class Plan : public ScratchTest {};

TEST_F(Plan, PredictsFromTheSpeedOfARun) {
  const std::string text = write("text.txt", sample_text(400));
  ASSERT_EQ(run(tiny_training(text, path("model"), {"--steps", "6", "--log-every", "2"})).status,
            0);
  const Outcome plan = run({"plan", path("model"), "--bandwidth", "1gbit", "--latency", "0.2ms",
                            "--efficiency", "0.01"});
  EXPECT_EQ(plan.status, 0) << plan.err;
  EXPECT_NE(plan.out.find("\n     1024 "), std::string::npos) << plan.out;
  EXPECT_NE(plan.out.find("100.0% ================== "), std::string::npos) << plan.out;
  for (const std::string wrong : {"1", "gbit", "-1gbit", "1gb"}) {
    EXPECT_TRUE(
        complains(run({"plan", path("model"), "--bandwidth", wrong}), 2, "plan", "--bandwidth"))
        << wrong;
  }
  EXPECT_TRUE(complains(run({"plan", path("nothing")}), 1, "plan", "nothing"));
}

}  // namespace
}  // namespace sluice::cli_test
