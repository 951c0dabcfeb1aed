// What the program says without any model: help, version, malformed requests.

#include <gtest/gtest.h>

#include <algorithm>

#include "program.hpp"

namespace sluice::cli_test {
namespace {

TEST(Usage, VersionAndHelp) {
  const Outcome version = run({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.out, "sluice 0.1.0\n");
  for (const char* command : {"train", "eval", "score", "generate", "info"}) {
    const Outcome help = run({command, "--help"});
    EXPECT_EQ(help.status, 0) << command;
    EXPECT_EQ(help.err, "") << command;
    EXPECT_NE(help.out.find("--help"), std::string::npos) << command;
    std::size_t start = 0;
    for (std::size_t end = 0; (end = help.out.find('\n', start)) != std::string::npos;
         start = end + 1) {
      EXPECT_LE(end - start, 100U) << help.out.substr(start, end - start);
    }
  }
}

TEST(Usage, OutputThatCannotBeWrittenFails) {
  EXPECT_TRUE(complains(run({"train", "--help"}, {.output_file = "/dev/full"}), 1, "train",
                        "standard output"));
  EXPECT_TRUE(
      complains(run({"--version"}, {.output_file = "/dev/full"}), 1, "", "standard output"));
}

TEST(Usage, UnknownNamesGetTheNearestOnes) {
  EXPECT_TRUE(complains(run({}), 2, "", "train"));
  EXPECT_TRUE(complains(run({"trian"}), 2, "", "did you mean train?"));
  EXPECT_TRUE(complains(run({"--versoin"}), 2, "", "--version"));
  EXPECT_TRUE(complains(run({"train", "--data", "x", "--out", "y", "--lrr", "1"}), 2, "train",
                        "unknown option '--lrr'; did you mean --lr"));
  EXPECT_TRUE(
      complains(run({"eval", "model", "file", "--jsn"}), 2, "eval", "did you mean --json?"));
  EXPECT_TRUE(complains(run({"score", "model", "file", "more"}), 2, "score", "'more'"));
  EXPECT_TRUE(complains(run({"eval", "model"}), 2, "eval", "FILE"));
  EXPECT_TRUE(complains(run({"score", "model", "--words=a\nb"}), 2, "score", R"(--words = a\nb)"));
}

class TrainUsage : public ScratchTest {
 protected:
  /// A refusal that needs no text and leaves nothing behind.
  void expect_refused(const std::vector<std::string>& more, const std::string& part) {
    std::vector<std::string> arguments = {"train", "--data", path("no.txt"), "--out",
                                          path("model")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_TRUE(complains(run(arguments), 2, "train", part)) << more.front();
    EXPECT_TRUE(std::filesystem::is_empty(directory_));
  }
};

TEST_F(TrainUsage, RefusesUnknownNames) {
  expect_refused({"--unit", "gul"}, "did you mean glu");
  expect_refused({"--preset", "gcnn8"}, "gcnn-8");
  expect_refused({"--optimizer", "adma"}, "adam");
  expect_refused({"--schedule", "cosin"}, "cosine");
  expect_refused({"--precision", "f16"}, "bf16");
  expect_refused({"--conv", "winograd"}, "auto, direct, fast");
}

TEST_F(TrainUsage, RefusesMalformedLayerSpecsWithThePosition) {
  expect_refused({"--layers", "[(512,4]*8"}, "position 7");
  expect_refused({"--layers", ""}, "position 0");
  expect_refused({"--layers", "[(512,4)]*8 +"}, "position 13");
}

TEST_F(TrainUsage, RefusesBadValues) {
  expect_refused({"--dim", "many"},
                 "--dim: expected a whole number from 1 to 2147483647, got 'many'");
  expect_refused({"--dim", "2.5"}, "whole number");
  expect_refused({"--lr", "fast"}, "--lr: expected a number");
  expect_refused({"--lr", "-1"}, "-1");
  expect_refused({"--batch", "0"}, "batch");
  expect_refused({"--seed", "-1"}, "seed");
  expect_refused({"--threads", "0"}, "threads");
  expect_refused({"--profile", "0"}, "--profile: expected 1 to 1000000, got 0");
  expect_refused({"--profile", "some"}, "--profile: expected a whole number, got 'some'");
  expect_refused({"--valid-fraction", "1"}, "below 1");
  expect_refused({"--preset", "tiny", "--layers", "[(4,4)]"}, "--layers");
  expect_refused({"--resume", "--overwrite"}, "--overwrite");
}

TEST_F(TrainUsage, RefusesBudgetsOfNothingAndNumbersThatAreLost) {
  expect_refused({"--steps", "0"},
                 "--steps: expected a whole number of at least 1 (to set no such limit, leave it "
                 "out), got 0");
  expect_refused({"--epochs", "0"}, "--epochs: expected");
  expect_refused({"--tokens", "0"}, "--tokens: expected");
  expect_refused({"--minutes", "0"}, "--minutes: expected a number above 0");
  expect_refused({"--minutes", "1e-400"}, "--minutes: expected a number above 0");
  expect_refused({"--lr", "1e400"}, "--lr: expected a number above 0, got '1e400'");
  expect_refused({"--dropout", "1e-60"}, "--dropout: expected");
  expect_refused({"--norm", "group", "--groups", "0"},
                 "--groups: expected a whole number of at least 1, got 0");
  expect_refused({"--batch", "18446744073709551617"}, "--batch: expected");
  expect_refused({"--context", "1e15"}, "--context: expected a whole number from 1 to 16777216");
}

TEST_F(TrainUsage, FieldsOfAnotherArchitectureAreNamed) {
  expect_refused({"--hidden", "64"}, "'hidden' is not a choice of arch gcnn (it is of rnn)");
  expect_refused({"--arch", "lstm", "--layers", "[(4,4)]"},
                 "'layers' is not a choice of arch lstm (it is of gcnn)");
  expect_refused({"--arch", "lsmt"}, "did you mean lstm?");
}

TEST_F(TrainUsage, NeedsDataAndOut) {
  EXPECT_TRUE(complains(run({"train", "--out", path("model")}), 2, "train", "--data"));
  EXPECT_TRUE(complains(run({"train", "--data", "x"}), 2, "train", "--out"));
}

TEST_F(TrainUsage, RefusesConfigFilesThatAreWrong) {
  const auto refused = [&](const std::string& text, const std::string& part) {
    const std::string config = write("config.json", text);
    std::vector<std::string> arguments = {"train", "--out", path("model"), "--config", config};
    // A flag would win over the file.
    if (text.find("data") == std::string::npos) arguments.insert(arguments.end(), {"--data", "x"});
    EXPECT_TRUE(complains(run(arguments), 2, "train", part)) << text;
  };
  refused("{", "line 1, column 2");
  refused("[]", "object");
  refused(R"({"modle": {}})", "model");
  refused(R"({"model": {"layer": "[(4,4)]"}})", "layers");
  refused(R"({"model": {"layers": 4}})", "layers");
  refused(R"({"training": {"learning_rate": 1}})", "learning_rate");
  refused(R"({"training": {"lr": "high"}})", "lr");
  refused(R"({"tokenizer": 7})", "tokenizer");
  refused(R"({"data": {"train": 7}})", "data.train");
  refused(R"({"training": {"steps": 0}})", "a budget of 0 trains nothing");
  refused(R"({"training": {"minutes": 1e-400}})", "too small to be told from 0");
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += R"({"model":)";
  refused(deep, "nested deeper than 64 levels");
  EXPECT_TRUE(complains(
      run({"train", "--data", "x", "--out", path("model"), "--config", path("missing.json")}), 1,
      "train", "missing.json"));
}

}  // namespace
}  // namespace sluice::cli_test
