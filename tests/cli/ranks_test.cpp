// Several processes under a real mpirun: they make the model of one, bit for bit, and end together.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "program.hpp"
#include "sluice/base/file.hpp"
#include "support/eventually.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;

constexpr const char* mpirun = "/usr/bin/mpirun";
/// Steps that no test waits for: hours of them.
constexpr const char* endless_steps = "100000000";

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

  /// `grace` is what mpirun leaves processes, in seconds, between asking them to end and killing
  /// them.
  static ProcessOptions options(int grace = 2) {
    return {.environment = {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                            "OMPI_MCA_odls_base_sigkill_timeout=" + std::to_string(grace),
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
    const auto has = [&](const char* flag) {
      return std::find(all.begin(), all.end(), flag) != all.end();
    };
    if (!has("--arch") && !has("--layers")) {
      all.insert(all.end(), {"--layers", "[(16,3)]*2", "--dim", "16"});
    }
    return all;
  }
  /// Waits until the job that writes to "out" has begun to train.
  void await_training(Process& job) const {
    const auto trains = [&] { return fs::exists(path("out") + "/metrics.jsonl"); };
    ASSERT_TRUE(eventually([&] { return trains() || job.ended_within(0); }));
    ASSERT_FALSE(job.ended_within(0));
  }
  /// Sends a signal to the process of that rank that writes to "out"; how many there were.
  int signal_rank(int rank, int number) const {
    int found = 0;
    for (const auto& process : fs::directory_iterator("/proc")) {
      const auto all_of = [&](const char* name) {
        std::ifstream file(process.path() / name);
        return std::string((std::istreambuf_iterator<char>(file)), {});
      };
      const std::string variable = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
      if (all_of("environ").find(variable) == std::string::npos ||
          all_of("cmdline").find(path("out")) == std::string::npos) {
        continue;
      }
      ::kill(std::stoi(process.path().filename()), number);
      ++found;
    }
    return found;
  }
  /// The step that the checkpoint of a run is of.
  std::int64_t saved_step(const std::string& out) const {
    const std::string bytes = read_file(path(out) + "/checkpoint.safetensors");
    std::uint64_t size = 0;
    std::memcpy(&size, bytes.data(), sizeof size);
    const auto header = nlohmann::json::parse(bytes.substr(sizeof size, size));
    const std::string training = header.at("__metadata__").at("training");
    return nlohmann::json::parse(training).at("step");
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

  /// Trains as the flags say, in one process to "one"+name and in 2 and 3, which must make the
  /// same; returns what these said.
  std::vector<Outcome> train_on_any_number(const std::string& name,
                                           const std::vector<std::string>& flags) const {
    EXPECT_EQ(run(six("one" + name, flags)).status, 0);
    std::vector<Outcome> outcomes;
    for (const int ranks : {2, 3}) {
      const std::string out = name + "on" + std::to_string(ranks);
      outcomes.push_back(run_on(ranks, six(out, flags)));
      EXPECT_EQ(outcomes.back().status, 0) << outcomes.back().err << outcomes.back().out;
      expect_same("one" + name, out);
    }
    return outcomes;
  }

  std::string text_;
};

TEST_F(Ranks, MakeTheModelOfOneProcess) {
  const std::vector<std::vector<std::string>> kinds = {
      {"--steps", "9", "--dropout", "0.2", "--tokenizer", "word", "--min-count", "1", "--softmax",
       "adaptive"},
      {"--steps", "6", "--shard-optimizer", "--tokenizer", "word", "--min-count", "1"},
      // With a weight that is so large that its parts are sent from where they are.
      {"--steps", "3", "--shard-optimizer", "--layers", "[(160,5)]", "--dim", "160"},
      // With one that fills a bucket alone.
      {"--steps", "3", "--layers", "[(256,9)]", "--dim", "256"},
      {"--steps", "10", "--sync-every", "4", "--norm", "batch", "--validate-every", "3"},
      {"--steps", "6", "--arch", "lstm", "--norm", "batch", "--hidden", "12", "--dim", "8",
       "--optimizer", "nesterov", "--precision", "f32"}};
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    for (const Outcome& outcome : train_on_any_number(std::to_string(i), kinds[i])) {
      // One of them speaks.
      const std::string::size_type first = outcome.out.find("finished: ");
      EXPECT_NE(first, std::string::npos) << outcome.out;
      EXPECT_EQ(outcome.out.find("finished: ", first + 1), std::string::npos) << outcome.out;
    }
  }
}

/// What `command` writes; its exit status is `status`.
std::string written(const Outcome& outcome, int status) {
  EXPECT_EQ(outcome.status, status) << outcome.err;
  return outcome.out;
}

// The vocabulary, the tokens and so the model are those of one process, of texts of several rounds
// of blocks, as they are and packed in JSON lines.
TEST_F(Ranks, CountAndTokeniseTogether) {
  std::string text, lines;
  for (int i = 0; text.size() < 5'000'000; ++i) {
    const std::string line = "word" + std::to_string(i % 977 * i % 5003) +
                             " and another one, as there are many in each part of a text " +
                             std::string(static_cast<std::size_t>(i % 50), 'x');
    text += line + "\n";
    lines += R"({"said": ")" + line + "\"}\n";
  }
  const std::string plain = write("plain.txt", text), packed = write("packed.jsonl", lines);
  const std::vector<std::vector<std::string>> kinds = {
      {"--data", plain, "--tokenizer", "word", "--vocab", "3000"},
      {"--data", packed, "--field", "said", "--tokenizer", "bpe", "--vocab", "300"}};
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const auto train = [&](const std::string& out) {
      std::vector<std::string> command = {
          "train", "--out",    path(out), "--batch",      "1", "--context",
          "8",     "--steps",  "1",       "--dim",        "8", "--threads",
          "1",     "--layers", "[(8,2)]", "--accumulate", "3", "--valid-fraction",
          "0.01"};
      command.insert(command.end(), kinds[i].begin(), kinds[i].end());
      return command;
    };
    const std::string one = "one" + std::to_string(i), three = "three" + std::to_string(i);
    ASSERT_EQ(run(train(one)).status, 0);
    const Outcome shared = run_on(3, train(three));
    ASSERT_EQ(shared.status, 0) << shared.err;
    int compared = 0;
    for (const auto& file : fs::recursive_directory_iterator(path(one))) {
      const std::string name = file.path().filename();
      if (!name.starts_with("tokens-") && !name.starts_with("tokenizer.") &&
          name != "model.safetensors") {
        continue;
      }
      const fs::path other = fs::path(path(three)) / fs::relative(file.path(), path(one));
      // Packed text lies where its run is, and so its tokens are named after that.
      if (name.starts_with("tokens-") && i == 1) continue;
      EXPECT_TRUE(read_file(file.path()) == read_file(other)) << other;
      ++compared;
    }
    EXPECT_EQ(compared, i == 0 ? 4 : 2);
  }
}

TEST_F(Ranks, AskAModelTogether) {
  ASSERT_EQ(run(six("model", {"--steps", "6"})).status, 0);
  const std::string model = path("model");
  // Several blocks of lines, some of which are no good.
  std::string plain, table = "id\ttext\n", lists;
  for (int i = 0; i < 4600; ++i) {
    const std::string text = "a line " + std::to_string(i % 700) + (i % 5000 == 77 ? "\xff" : "");
    plain += text + "\n";
    table += std::to_string(i) + (i == 4400 ? " " : "\t") + text + "\n";
    lists += std::to_string(i / 7) + " ||| " + text + " ||| f= 1 ||| -3\n";
  }
  const std::string lines = write("lines.txt", plain), rows = write("rows.tsv", table),
                    nbest = write("nbest", lists), long_text = write("long.txt", sample_text(900));
  const std::vector<std::vector<std::string>> commands = {
      {"score", model, lines, "--json"},
      {"score", model, rows, "--format", "tsv"},
      {"rescore", model, nbest, "--format", "moses"},
      {"rescore", model, nbest, "--format", "moses", "--best", "--weight", "0.5"}};
  for (std::vector<std::string> command : commands) {
    SCOPED_TRACE(command[0] + " " + command.back());
    command.insert(command.end(), {"--threads", "1"});
    const Outcome one = run(command);
    const Outcome shared = run_on(3, command);
    EXPECT_TRUE(written(shared, 1) == written(one, 1));
    // MPI itself may say something before and after.
    const std::size_t at = shared.err.find(one.err);
    EXPECT_FALSE(one.err.empty());
    EXPECT_NE(at, std::string::npos) << shared.err;
    EXPECT_EQ(shared.err.find(one.err, at + 1), std::string::npos) << shared.err;
  }
  // Standard input reaches the first process, which reads for all.
  ProcessOptions with_input = options();
  with_input.input = "a line\nanother\n";
  ProcessOptions one_with_input;
  one_with_input.input = with_input.input;
  const std::vector<std::string> score = {"score", model, "--threads", "1"};
  EXPECT_EQ(written(run(on(2, score), with_input), 0), written(run(score, one_with_input), 0));

  // What must be read from the beginning to the end is read by one.
  const std::vector<std::string> running = {"score",     model,       long_text,
                                            "--running", "--threads", "1"};
  const Outcome by_one = run_on(2, running);
  EXPECT_EQ(written(by_one, 0), written(run(running), 0));
  EXPECT_NE(by_one.err.find("sluice score: one of the processes reads all"), std::string::npos)
      << by_one.err;

  const auto evaluated = [](const Outcome& outcome) {
    auto json = nlohmann::json::parse(written(outcome, 0));
    json.erase("seconds");
    json.erase("tokens_per_second");
    return json.dump();
  };
  const std::vector<std::string> eval = {"eval", model, long_text, "--json", "--threads", "1"};
  const std::string one = evaluated(run(eval));
  EXPECT_EQ(evaluated(run_on(2, eval)), one);
  EXPECT_EQ(evaluated(run_on(3, eval)), one);
  with_input.input = read_file(long_text);
  EXPECT_EQ(evaluated(run(on(3, {"eval", model, "-", "--json", "--threads", "1"}), with_input)),
            one);

  const auto inspect = [&](const std::string& out) {
    return std::vector<std::string>{"inspect", model,      "--text", long_text,   "--out",
                                    path(out), "--tokens", "3000",   "--threads", "1"};
  };
  ASSERT_EQ(run(inspect("inspect1")).status, 0);
  const Outcome inspected = run_on(3, inspect("inspect3"));
  ASSERT_EQ(inspected.status, 0) << inspected.err;
  for (const char* name : {"layers.csv", "lags.csv", "context.csv", "surprisal.csv"}) {
    EXPECT_EQ(read_file(path("inspect3") + "/" + name), read_file(path("inspect1") + "/" + name));
  }
}

// Documents of different lengths, long ones in several parts; states are carried in one kind.
TEST_F(Ranks, ReadDocumentsAsOneProcessDoes) {
  std::string text;
  std::istringstream lines(sample_text(700));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    text += line + (count % 7 == 3 || count % 31 == 5 ? "\n\n" : "\n");
    if (count == 400) text += sample_text(300);
  }
  text_ = write("documents.txt", text);
  const std::vector<std::vector<std::string>> kinds = {
      {"--steps", "7", "--documents", "blank-lines", "--validate-every", "3"},
      {"--steps", "7", "--documents", "blank-lines", "--document-mark", "<doc>", "--arch", "lstm",
       "--hidden", "12", "--dim", "8", "--sync-every", "3"}};
  const auto told = [](const Outcome& outcome) {
    auto json = nlohmann::json::parse(written(outcome, 0));
    json.erase("seconds");
    json.erase("tokens_per_second");
    return json;
  };
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const std::string name = std::to_string(i);
    train_on_any_number(name, kinds[i]);
    const std::vector<std::string> eval = {"eval",   path("one" + name), text_,
                                           "--json", "--threads",        "1"};
    const auto one = told(run(eval));
    EXPECT_EQ(told(run_on(2, eval)), one);
    EXPECT_EQ(told(run_on(3, eval)), one);
    std::vector<std::string> across = eval;
    across.insert(across.end(), {"--documents", "none"});
    EXPECT_NE(told(run_on(2, across))["nll"], one["nll"]);
  }
  const auto inspect = [&](const std::string& out) {
    return std::vector<std::string>{"inspect", path("one0"), "--text", text_,       "--out",
                                    path(out), "--tokens",   "2000",   "--threads", "1"};
  };
  ASSERT_EQ(run(inspect("inspect1")).status, 0);
  ASSERT_EQ(run_on(2, inspect("inspect2")).status, 0);
  for (const char* file : {"layers.csv", "lags.csv", "context.csv", "surprisal.csv"}) {
    EXPECT_EQ(read_file(path("inspect2") + "/" + file), read_file(path("inspect1") + "/" + file));
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

// What rounding loses is not lost, only late: the checkpoint has it.
TEST_F(Ranks, RoundedGradientsFeedTheirErrorsBack) {
  const auto rounded = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> all = six(out, {"--communicate", "bf16", "--schedule", "constant"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  ASSERT_EQ(run(six("exact", {"--steps", "12", "--schedule", "constant"})).status, 0);
  ASSERT_EQ(run_on(2, rounded("whole", {"--steps", "12"})).status, 0);
  ASSERT_EQ(run_on(2, rounded("parts", {"--steps", "5"})).status, 0);
  const std::vector<std::string> rest = {"train",   "--resume", "--out",     path("parts"),
                                         "--steps", "12",       "--threads", "1"};
  for (const std::string other : {"three", "one"}) {
    fs::copy(path("parts"), path(other), fs::copy_options::recursive);
  }
  const Outcome two = run_on(2, rest);
  ASSERT_EQ(two.status, 0) << two.err;
  EXPECT_EQ(read_file(path("whole") + "/model.safetensors"),
            read_file(path("parts") + "/model.safetensors"));
  EXPECT_NE(read_file(path("whole") + "/model.safetensors"),
            read_file(path("exact") + "/model.safetensors"));
  const auto loss = [&](const std::string& out) {
    return lines_of(out).back().at("loss").get<double>();
  };
  EXPECT_NEAR(loss("whole"), loss("exact"), 0.01 * loss("exact"));
  // Another number of processes goes on, too, with what rounding left in all of them.
  const auto rest_of = [&](const std::string& out) {
    return std::vector<std::string>{"train",   "--resume", "--out",     path(out),
                                    "--steps", "12",       "--threads", "1"};
  };
  const Outcome three = run_on(3, rest_of("three"));
  ASSERT_EQ(three.status, 0) << three.err;
  ASSERT_EQ(run(rest_of("one")).status, 0);
  for (const std::string other : {"three", "one"}) {
    EXPECT_NEAR(loss(other), loss("exact"), 0.01 * loss("exact")) << other;
  }
}

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

}  // namespace
}  // namespace sluice::cli_test
