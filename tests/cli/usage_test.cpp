// What the program says without any model: help, version, malformed requests.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "program.hpp"

namespace sluice::cli_test {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// The commands that `sluice --help` lists.
std::vector<std::string> listed_commands() {
  const std::string help = run({"--help"}).out;
  std::vector<std::string> commands;
  for (const std::string& line : lines_of(help.substr(help.find("Subcommands:")))) {
    if (line.starts_with("  ")) commands.push_back(line.substr(2, line.find(' ', 2) - 2));
  }
  return commands;
}

TEST(Usage, VersionAndHelp) {
  const Outcome version = run({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.out, "sluice 0.1.0\n");
  const std::vector<std::string> commands = listed_commands();
  EXPECT_GE(commands.size(), 25U);
  for (const std::string& command : commands) {
    const Outcome help = run({command, "--help"});
    EXPECT_EQ(help.status, 0) << command;
    EXPECT_EQ(help.err, "") << command;
    EXPECT_NE(help.out.find("--help"), std::string::npos) << command;
    EXPECT_EQ(help.out.find("\n\n\n"), std::string::npos) << command;
    // Most terminals are 80 wide.
    for (const std::string& line : lines_of(help.out)) EXPECT_LE(line.size(), 80U) << line;
    EXPECT_EQ(run({"help", command}).out, help.out);
  }
  EXPECT_EQ(run({"help"}).out, run({"--help"}).out);
  EXPECT_NE(run({"quantize", "--help"}).out.find("sluice quantize [OPTIONS] --out DIR MODEL\n"),
            std::string::npos);
}

/// The words of a command line as a shell takes them, but for what is in no example.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '\'') {
      quoted = !quoted;
    } else if (c == ' ' && !quoted) {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

// Where there is nothing to read, they fail for want of it, not for being malformed.
TEST_F(ScratchTest, EveryCommandHasExamplesThatAreWellFormed) {
  for (const std::string& command : listed_commands()) {
    const std::string help = run({command, "--help"}).out;
    const std::size_t at = help.find("\nExamples:\n");
    ASSERT_NE(at, std::string::npos) << command;
    for (const std::string& line : lines_of(help.substr(at + 11))) {
      std::vector<std::string> words = words_of(line.substr(2));
      ASSERT_EQ(words.front(), "sluice") << line;
      ASSERT_EQ(words.at(1), command) << line;
      words.erase(words.begin());
      for (std::string& word : words) {
        if (word == "copy.txt") word = path(word);  // the one that writes without reading
      }
      const Outcome outcome = run(words);
      EXPECT_NE(outcome.status, 2) << line << "\n" << outcome.err;
    }
  }
}

/// A terminal whose screen is kept.
class Terminal {
 public:
  Terminal() : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
    grantpt(master_);
    unlockpt(master_);
    slave_ = open(name().c_str(), O_RDWR | O_NOCTTY);  // so that what was written can be read later
  }
  ~Terminal() {
    close(slave_);
    close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  std::string name() const { return ptsname(master_); }
  std::string shown() const {
    std::string all(1 << 16, '\0');
    fcntl(master_, F_SETFL, O_NONBLOCK);
    all.resize(
        static_cast<std::size_t>(std::max<ssize_t>(read(master_, all.data(), all.size()), 0)));
    return all;
  }

 private:
  int master_;
  int slave_ = -1;
};

TEST_F(ScratchTest, ATerminalThatCannotWipeALineGetsPlainOnes) {
  const std::string text = write("text.txt", sample_text(400));
  int steps = 300;
  const auto is_redrawn = [&](const std::string& kind) {
    const Terminal terminal;
    const Outcome outcome =
        run(tiny_training(text, path("out"), {"--steps", std::to_string(steps), "--overwrite"}),
            {.error_file = terminal.name(), .environment = {"TERM=" + kind}});
    EXPECT_EQ(outcome.status, 0);
    return terminal.shown().find('\x1b') != std::string::npos;
  };
  // Long enough for one that can to be redrawn, however fast the machine.
  while (!is_redrawn("xterm")) {
    steps *= 2;
    ASSERT_LT(steps, 1 << 24);
  }
  EXPECT_FALSE(is_redrawn("dumb"));
}

TEST_F(ScratchTest, NoCommandNamesItselfTwice) {
  ASSERT_EQ(run(tiny_training(write("text.txt", sample_text(40)), path("model"), {"--steps", "2"}))
                .status,
            0);
  const Outcome outcome = run({"next", path("model"), "the", "--starting-with", "a b"});
  EXPECT_TRUE(complains(outcome, 2, "next", "expected the beginning of one word"));
  EXPECT_EQ(outcome.err.find("next: next:"), std::string::npos) << outcome.err;
}

TEST(Usage, WhatIsMissingIsDescribed) {
  EXPECT_TRUE(complains(run({"quantize", "model"}), 2, "quantize",
                        "--out is missing: directory to write to"));
  EXPECT_TRUE(complains(run({"eval", "model"}), 2, "eval", "FILE is missing: UTF-8 texts"));
  EXPECT_TRUE(complains(run({"tasks", "copy"}), 2, "tasks", "--out is missing: file to write"));
  EXPECT_TRUE(complains(run({"train", "text.txt"}), 2, "train",
                        "unexpected argument 'text.txt'; see sluice train --help"));
}

TEST(Usage, AnAddressThatIsNoneIsRefusedByItsFlag) {
  EXPECT_TRUE(complains(run({"serve", "model", "--host", "example.com"}), 2, "serve",
                        "--host: expected a numeric address or localhost, got 'example.com'"));
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
  EXPECT_TRUE(complains(run({"classify", "model", "file", "more"}), 2, "classify", "'more'"));
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
