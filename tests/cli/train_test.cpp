// sluice train: bad texts and directories, interruption, resumption, and what is written.

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Train : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", sample_text(400));
  }
  std::string model() const { return path("model"); }
  Outcome train(const std::vector<std::string>& more) {
    return run(tiny_training(text_, model(), more));
  }
  json config() const { return json::parse(read_file(model() + "/config.json")); }
  /// The step of the last whole line of metrics.jsonl, 0 when there is none.
  std::int64_t last_step() const {
    std::ifstream lines(model() + "/metrics.jsonl");
    std::int64_t step = 0;
    for (std::string line; std::getline(lines, line) && !lines.eof();) {
      step = json::parse(line).at("step").get<std::int64_t>();
    }
    return step;
  }
  /// Refused with status 1, and no model directory left.
  void expect_refused(const std::string& data, const std::string& part,
                      const ProcessOptions& options = {}) {
    EXPECT_TRUE(
        complains(run(tiny_training(data, model(), {"--steps", "2"}), options), 1, "train", part));
    EXPECT_FALSE(fs::exists(model())) << part;
  }
  std::string text_;
};

TEST_F(Train, RefusesTextsItCannotRead) {
  expect_refused(path("missing.txt"), "missing.txt");
  expect_refused(write("empty.txt", ""), "empty");
  fs::create_directory(path("nothing"));
  expect_refused(path("nothing"), "nothing");
  const std::string unreadable = write("secret.txt", sample_text(400));
  fs::permissions(unreadable, fs::perms::none);
  expect_refused(unreadable, "secret.txt", {.as_nobody = true});
}

TEST_F(Train, NamesTheFirstBadByte) {
  const std::string good = sample_text(400);
  expect_refused(write("binary.txt", good + std::string("\0x\n", 3)),
                 "byte " + std::to_string(good.size()));
  expect_refused(write("latin1.txt", good + "caf\xe9 au lait\n" + good),
                 "byte " + std::to_string(good.size() + 3));
  // Also where the bad byte is in a file that is not cut.
  EXPECT_TRUE(
      complains(run(tiny_training(text_, model(), {"--steps", "2", "--valid", path("latin1.txt")})),
                1, "train", "byte " + std::to_string(good.size() + 3)));
  EXPECT_FALSE(fs::exists(model()));
}

TEST_F(Train, RefusesATextShorterThanAChunk) {
  const std::string data = write("short.txt", "the cat\nsat\non\nthe\nmat\n");
  EXPECT_TRUE(
      complains(run(tiny_training(data, model(), {"--steps", "2", "--valid-fraction", "0"})), 1,
                "train", "tokens"));
  EXPECT_FALSE(fs::exists(model()));
  expect_refused(data, "hold out");
}

TEST_F(Train, RefusesAbsurdSizesWithTheMemoryTheyNeed) {
  const Outcome outcome = train({"--steps", "2", "--dim", "1e9"});
  EXPECT_TRUE(complains(outcome, 2, "train", "of memory"));
  EXPECT_NE(outcome.err.find("TB"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(model()));
}

TEST_F(Train, RefusesFastConvolutionOfKernelsItDoesNotServe) {
  const Outcome outcome = run({"train", "--data", text_, "--out", model(), "--steps", "2",
                               "--layers", "[(16,9)]*2", "--conv", "fast"});
  EXPECT_TRUE(complains(outcome, 2, "train", "kernel width 9 is not served, only widths up to 7"));
  EXPECT_FALSE(fs::exists(model()));
}

// A model trained by one path evaluates the same by another, to rounding; keeping projections or
// not makes no difference at all.
TEST_F(Train, ConvolutionPathsAndRecomputingAgree) {
  std::map<std::string, std::string> weights;
  for (const std::string kind : {"direct", "fast", "recompute"}) {
    const std::string out = path(kind);
    std::vector<std::string> more = {"--steps", "30",     "--dropout",
                                     "0.2",     "--conv", kind == "direct" ? "direct" : "fast"};
    if (kind == "recompute") more.emplace_back("--recompute");
    ASSERT_EQ(run(tiny_training(text_, out, more)).status, 0);
    weights[kind] = read_file(out + "/model.safetensors");
  }
  EXPECT_EQ(weights["fast"], weights["recompute"]);
  EXPECT_NE(weights["fast"], weights["direct"]);
  std::vector<double> perplexities;
  for (const std::string kind : {"direct", "fast"}) {
    for (const std::string conv : {"direct", "fast", "auto"}) {
      const Outcome outcome = run({"eval", path(kind), text_, "--json", "--conv", conv});
      ASSERT_EQ(outcome.status, 0) << outcome.err;
      perplexities.push_back(json::parse(outcome.out).at("perplexity"));
    }
  }
  for (const double perplexity : perplexities) {
    EXPECT_NEAR(perplexity, perplexities[0], 1e-4 * perplexities[0]);
  }
}

TEST_F(Train, RefusesADirectoryThatHoldsSomething) {
  fs::create_directory(model());
  write_file(model() + "/notes.txt", "mine");
  const Outcome outcome = train({"--steps", "2"});
  EXPECT_TRUE(complains(outcome, 1, "train", "--overwrite"));
  EXPECT_EQ(read_file(model() + "/notes.txt"), "mine");
  EXPECT_TRUE(complains(train({"--steps", "2", "--resume"}), 1, "train", "checkpoint"));
  EXPECT_EQ(std::distance(fs::directory_iterator(model()), fs::directory_iterator()), 1);
  EXPECT_TRUE(
      complains(run(tiny_training(text_, text_, {"--steps", "2"})), 1, "train", "not a directory"));
}

TEST_F(Train, WritesAModelDirectory) {
  const Outcome outcome = train({"--steps", "30", "--validate-every", "10", "--lr", "0.5"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("validation loss"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("held out"), std::string::npos) << outcome.out;
  const json saved = config();
  EXPECT_EQ(saved["format_version"], 1);
  EXPECT_EQ(saved["model"]["layers"], "[(16,3)]*2");
  EXPECT_EQ(saved["model"]["dim"], 16);
  EXPECT_EQ(saved["training"]["lr"], 0.5);
  EXPECT_EQ(saved["training"]["steps"], 30);
  EXPECT_EQ(saved["tokenizer"]["kind"], "word");
  EXPECT_EQ(saved["data"]["train"], json::array({text_}));
  EXPECT_EQ(saved["threads"], 1);
  for (const char* name :
       {"model.safetensors", "checkpoint.safetensors", "metrics.jsonl", "tokenizer.json"}) {
    EXPECT_TRUE(fs::exists(model() + "/" + name)) << name;
  }
}

TEST_F(Train, ProfilesStepsAndLearnsTheSame) {
  const std::string plain = path("plain");
  ASSERT_EQ(run(tiny_training(text_, plain, {"--steps", "20", "--dropout", "0.2"})).status, 0);
  const Outcome outcome = train({"--profile", "5", "--steps", "20", "--dropout", "0.2"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* part : {"profile of 5 steps", "tokens/s", "measured ceilings", "GFLOP/s", "gemm",
                           "optimizer", "whole step", "trace.json", "finished: 20 steps"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << " in\n" << outcome.out;
  }
  EXPECT_FALSE(json::parse(read_file(model() + "/trace.json")).at("traceEvents").empty());
  EXPECT_EQ(read_file(model() + "/model.safetensors"), read_file(plain + "/model.safetensors"));
  EXPECT_EQ(json::parse(read_file(plain + "/config.json")), config()) << "a profile is no setting";
  EXPECT_FALSE(fs::exists(plain + "/trace.json"));

  // Without N it takes 10; a run that replaces this one does not keep its trace.
  const Outcome more = train({"--overwrite", "--steps", "14", "--profile"});
  EXPECT_NE(more.out.find("profile of 10 steps"), std::string::npos) << more.out << more.err;
  const Outcome shorter = train({"--overwrite", "--steps", "3", "--profile"});
  EXPECT_EQ(shorter.status, 0) << shorter.err;
  EXPECT_NE(shorter.out.find("no profile"), std::string::npos) << shorter.out;
  EXPECT_FALSE(fs::exists(model() + "/trace.json"));
}

TEST_F(Train, AConfigFileStandsForFlagsAndFlagsWin) {
  const std::string file =
      write("config.json",
            R"({"model": {"unit": "gtu", "dropout": 0.3}, "training": {"steps": 4, "lr": 0.1}})");
  ASSERT_EQ(train({"--config", file, "--lr", "0.2"}).status, 0);
  EXPECT_EQ(config()["model"]["unit"], "gtu");
  EXPECT_EQ(config()["training"]["steps"], 4);
  EXPECT_EQ(config()["training"]["lr"], 0.2);

  // What a run saved trains the same model again.
  const std::string again = path("again");
  ASSERT_EQ(run({"train", "--config", model() + "/config.json", "--out", again}).status, 0);
  EXPECT_EQ(read_file(again + "/model.safetensors"), read_file(model() + "/model.safetensors"));
  EXPECT_EQ(json::parse(read_file(again + "/config.json")), config());
}

TEST_F(Train, AnotherTextIsNotValidatedOnTheOldOnesFiles) {
  const std::string held = write("held.txt", sample_text(60));
  ASSERT_EQ(train({"--steps", "3", "--valid", held}).status, 0);
  EXPECT_EQ(config()["data"]["valid"], json::array({held}));
  const std::string other = write("other.txt", sample_text(300));
  const std::string again = path("again");
  const Outcome moved =
      run({"train", "--config", model() + "/config.json", "--data", other, "--out", again});
  ASSERT_EQ(moved.status, 0) << moved.err;
  EXPECT_NE(moved.out.find("not validated on '" + held + "'"), std::string::npos) << moved.out;
  const json data = json::parse(read_file(again + "/config.json"))["data"];
  EXPECT_EQ(data["train"], json::array({other}));
  EXPECT_TRUE(data["valid"].empty());
}

TEST_F(Train, ATextThatIsRefusedLeavesTheOldModelAlone) {
  ASSERT_EQ(train({"--steps", "3"}).status, 0);
  const std::string before = read_file(model() + "/model.safetensors");
  const std::string bad = write("bad.txt", sample_text(100) + "\xff\n");
  EXPECT_TRUE(complains(run(tiny_training(bad, model(), {"--steps", "2", "--overwrite"})), 1,
                        "train", "byte " + std::to_string(sample_text(100).size())));
  EXPECT_EQ(read_file(model() + "/model.safetensors"), before);
  EXPECT_EQ(run({"info", model()}).status, 0);
}

TEST_F(Train, ResumesOnlyTheSameArchitectureAndVocabulary) {
  ASSERT_EQ(train({"--steps", "3"}).status, 0);
  const std::string before = read_file(model() + "/config.json");
  const std::vector<std::string> base = {"train", "--out", model(), "--resume", "--steps", "6"};
  const auto refused = [&](const char* flag, const char* value, const char* part) {
    std::vector<std::string> arguments = base;
    arguments.insert(arguments.end(), {flag, value});
    EXPECT_TRUE(complains(run(arguments), 1, "train", part)) << flag;
    EXPECT_EQ(read_file(model() + "/config.json"), before) << flag;
  };
  refused("--layers", "[(16,3)]*3", "layers");
  refused("--unit", "gtu", "unit");
  refused("--vocab", "9", "vocabulary");
  refused("--tokenizer", "char", "tokenizer");
  const Outcome resumed = run(base);
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(config()["training"]["steps"], 6);
}

TEST_F(Train, InterruptionSavesAndIsResumed) {
  // A run that does not end by itself, so that the signal comes before its end on any machine; the
  // rate does not depend on how many steps there are.
  const std::vector<std::string> more = {"--dropout", "0.2",         "--schedule",
                                         "constant",  "--log-every", "1"};
  std::vector<std::string> endless = more;
  endless.insert(endless.end(), {"--steps", "1000000000"});
  std::int64_t steps = 0;
  for (const int signal : {SIGINT, SIGTERM}) {
    Process process(steps == 0 ? tiny_training(text_, model(), endless)
                               : std::vector<std::string>{"train", "--out", model(), "--resume"});
    while (last_step() < steps + 20) ASSERT_FALSE(process.ended_within(5));
    process.signal(signal);
    const Outcome outcome = process.wait();
    EXPECT_EQ(outcome.status, 128 + signal) << outcome.err;
    EXPECT_EQ(run({"score", model(), text_}).status, 0) << "what was learnt is usable";
    EXPECT_NE(outcome.out.find("interrupted"), std::string::npos) << outcome.out << outcome.err;
    steps = last_step();
  }
  const std::string all = std::to_string(steps + 20);
  const Outcome rest = run({"train", "--out", model(), "--resume", "--steps", all});
  ASSERT_EQ(rest.status, 0) << rest.err;
  const std::string whole = path("whole");
  std::vector<std::string> at_once = more;
  at_once.insert(at_once.end(), {"--steps", all});
  ASSERT_EQ(run(tiny_training(text_, whole, at_once)).status, 0);
  EXPECT_EQ(read_file(model() + "/model.safetensors"), read_file(whole + "/model.safetensors"));
}

// Where a product of oneDNN has the heap as its stack, a handler would write into it.
TEST_F(Train, SignalsReachNoThreadThatComputes) {
  std::vector<std::string> endless = tiny_training(text_, model(), {"--steps", "1000000000"});
  endless.insert(endless.end(), {"--log-every", "1"});
  *std::next(std::find(endless.begin(), endless.end(), "--threads")) = "2";
  Process process(endless);
  while (last_step() < 3) ASSERT_FALSE(process.ended_within(5));
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::vector<pid_t> threads = process.reached_by(signal);
    ASSERT_EQ(threads.size(), 1U) << "the one that waits for it";
    EXPECT_NE(threads[0], process.id()) << "the main thread computes";
  }
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait().status, 128 + SIGTERM);
}

TEST_F(Train, AKilledRunIsResumedBitForBit) {
  const std::string whole = path("whole");
  const std::vector<std::string> more = {"--steps", "600",         "--checkpoint-every",
                                         "20",      "--log-every", "1"};
  ASSERT_EQ(run(tiny_training(text_, whole, more)).status, 0);
  std::mt19937 random(7);
  // Killed after some steps more than it was left with, wherever it is then.
  for (int kills = 0; kills < 5; ++kills) {
    const std::int64_t until = last_step() + std::uniform_int_distribution(1, 90)(random);
    Process process(kills == 0 ? tiny_training(text_, model(), more)
                               : std::vector<std::string>{"train", "--out", model(), "--resume"});
    while (last_step() < until && !process.ended_within(1)) {
    }
    if (!process.ended_within(0)) process.signal(SIGKILL);
    process.wait();
  }
  const Outcome rest = run({"train", "--out", model(), "--resume"});
  ASSERT_EQ(rest.status, 0) << rest.err;
  EXPECT_EQ(read_file(model() + "/model.safetensors"), read_file(whole + "/model.safetensors"));
}

TEST_F(Train, AFullDiskLeavesThePreviousCheckpoint) {
  ASSERT_EQ(train({"--steps", "5"}).status, 0);
  const std::string checkpoint = model() + "/checkpoint.safetensors";
  const std::string before = read_file(checkpoint);
  const Outcome outcome = run({"train", "--out", model(), "--resume", "--steps", "10"},
                              {.largest_file = before.size() / 2});
  EXPECT_TRUE(complains(outcome, 1, "train", "checkpoint.safetensors"));
  EXPECT_EQ(read_file(checkpoint), before);
  EXPECT_EQ(run({"train", "--out", model(), "--resume", "--steps", "10"}).status, 0);
}

// Loss above ln V: no success, and nothing that was saved is lost.
TEST_F(Train, AWreckedTrainingIsNoSuccess) {
  const Outcome outcome =
      train({"--steps", "150", "--optimizer", "adamw", "--lr", "1000", "--validate-every", "50"});
  EXPECT_TRUE(complains(outcome, 1, "train", "above ln V"));
  EXPECT_NE(outcome.err.find("--lr (it was 1000)"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.out.find("finished"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find("the best so far"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("worse than knowing nothing"), std::string::npos) << outcome.out;
  EXPECT_TRUE(fs::exists(model() + "/model.safetensors"));
  EXPECT_TRUE(fs::exists(model() + "/checkpoint.safetensors"));
  const Outcome info = run({"info", model()});
  EXPECT_EQ(info.status, 0);
  EXPECT_NE(info.out.find("worse than knowing nothing"), std::string::npos) << info.out;
  EXPECT_EQ(info.out.find("the best so far"), std::string::npos) << info.out;
}

TEST_F(Train, SaysWhatAResumedRunChanges) {
  ASSERT_EQ(train({"--steps", "20"}).status, 0);
  const Outcome resumed = run({"train", "--out", model(), "--resume", "--steps", "40"});
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_NE(resumed.out.find("the learning rate was"), std::string::npos) << resumed.out;
  fs::remove(model() + "/model.safetensors");
  const Outcome again = run({"train", "--out", model(), "--resume"});
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(again.out.find("the learning rate was"), std::string::npos) << again.out;
  EXPECT_EQ(run({"eval", model(), text_}).status, 0) << "said to be saved";
}

TEST_F(Train, OneRunHoldsADirectory) {
  Process process(tiny_training(text_, model(), {"--steps", "1000000000"}));
  while (!fs::exists(model() + "/checkpoint.safetensors")) ASSERT_FALSE(process.ended_within(5));
  EXPECT_TRUE(complains(train({"--steps", "2", "--overwrite"}), 1, "train", "holds it"));
  EXPECT_TRUE(complains(run({"train", "--out", model(), "--resume"}), 1, "train", "holds it"));
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait().status, 143);
}

TEST_F(Train, DivergenceKeepsTheLastGoodCheckpoint) {
  const Outcome outcome = train(
      {"--steps", "500", "--optimizer", "sgd", "--momentum", "0", "--lr", "1e30", "--clip", "0"});
  EXPECT_TRUE(complains(outcome, 1, "train", "diverged at step"));
  EXPECT_TRUE(fs::exists(model() + "/checkpoint.safetensors"));
}

}  // namespace
}  // namespace sluice::cli_test
