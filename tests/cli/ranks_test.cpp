// Several processes under a real mpirun train the model of one, bit for bit.

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "ranks.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;

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

}  // namespace
}  // namespace sluice::cli_test
