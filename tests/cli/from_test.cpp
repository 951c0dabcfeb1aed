// sluice train --from: a run that starts with the weights of another.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

using nlohmann::json;

class From : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", sample_text(300));
    ASSERT_EQ(run(tiny_training(text_, path("first"), {"--steps", "60", "--lr", "0.02"})).status,
              0);
  }
  double perplexity(const std::string& model) const {
    const Outcome outcome = run({"eval", path(model), text_, "--json"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.status == 0 ? json::parse(outcome.out)["perplexity"].get<double>() : 0;
  }
  Outcome train(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"train",   "--data", text_,       "--out", path("second"),
                                          "--batch", "2",      "--context", "8",     "--steps",
                                          "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  /// Tokens and the rows of their vectors.
  std::vector<std::pair<std::string, std::vector<float>>> vectors_of(
      const std::string& model) const {
    EXPECT_EQ(
        run({"export", path(model), "--to", "vectors", "--out", path(model + "-rows")}).status, 0);
    std::istringstream file(read_file(path(model + "-rows") + "/vectors.txt"));
    std::size_t rows = 0, width = 0;
    file >> rows >> width;
    std::vector<std::pair<std::string, std::vector<float>>> vectors(rows);
    for (auto& [token, row] : vectors) {
      file >> token;
      row.resize(width);
      for (float& value : row) file >> value;
    }
    return vectors;
  }
  std::string text_;
};

TEST_F(From, StartsWithWeightsAndTokenizerOfAnother) {
  const Outcome outcome = train({"--from", path("first"), "--lr", "1e-9", "--dropout", "0.1"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NEAR(perplexity("second"), perplexity("first"), 1e-3);
  const json before = json::parse(read_file(path("first") + "/config.json"));
  const json after = json::parse(read_file(path("second") + "/config.json"));
  EXPECT_EQ(after["from"], path("first"));
  EXPECT_NEAR(after["model"]["dropout"].get<double>(), 0.1, 1e-6);
  EXPECT_EQ(after["model"]["layers"], before["model"]["layers"]);
  EXPECT_EQ(read_file(path("second") + "/tokenizer.json"),
            read_file(path("first") + "/tokenizer.json"));
  // Resumed, it goes on from its own weights.
  EXPECT_EQ(run({"train", "--out", path("second"), "--resume", "--steps", "2"}).status, 0);
}

// What a run's configuration says alone, without a checksum, is not followed in silence.
TEST_F(From, ADropoutThatTheWeightsWereNotSavedWithIsNamed) {
  json config = json::parse(read_file(path("first") + "/config.json"));
  config["model"]["dropout"] = 0.875;
  write("first/config.json", config.dump());
  EXPECT_TRUE(complains(train({"--from", path("first")}), 1, "train", "dropout is 0.875"));
  EXPECT_FALSE(std::filesystem::exists(path("second")));
  EXPECT_EQ(train({"--from", path("first"), "--dropout", "0.25"}).status, 0);
  const json after = json::parse(read_file(path("second") + "/config.json"));
  EXPECT_EQ(after["model"]["dropout"], 0.25);
}

TEST_F(From, MayReplaceItself) {
  const double before = perplexity("first");
  std::vector<std::string> arguments = {
      "train", "--data", text_,     "--out", path("first"), "--from", path("first"), "--overwrite",
      "--lr",  "1e-9",   "--steps", "1",     "--batch",     "2",      "--context",   "8"};
  const Outcome outcome = run(arguments);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NEAR(perplexity("first"), before, 1e-3);
}

TEST_F(From, FreezesKeepsAndShowsTheOldText) {
  const std::string other = write("other.txt", "zebras sing\nzebras swim\nwhales sing\n");
  const Outcome outcome =
      train({"--from", path("first"), "--freeze", "embedding.*,softmax.*", "--lr-scale",
             "layers.0.*=0.5", "--keep", "0.1", "--valid-old", text_, "--lr", "0.05"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("the old text at first: perplexity"), std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("; of the old text, perplexity"), std::string::npos) << outcome.err;
  const json config = json::parse(read_file(path("second") + "/config.json"));
  EXPECT_EQ(config["training"]["freeze"], json({"embedding.*", "softmax.*"}));
  EXPECT_EQ(config["training"]["keep"], 0.1);
  EXPECT_EQ(config["data"]["valid_old"][0], text_);
  EXPECT_EQ(run({"train", "--out", path("second"), "--resume", "--steps", "3"}).status, 0);
  EXPECT_TRUE(complains(train({"--from", path("first"), "--freeze", "embeding.*", "--overwrite"}),
                        2, "train", "no parameter is named 'embeding.*'"));
  EXPECT_TRUE(std::filesystem::exists(path("second") + "/checkpoint.safetensors"));
}

TEST_F(From, SubwordsTakeWholeWordsAndKeepTheirPieces) {
  ASSERT_EQ(run({"train", "--data", text_, "--out", path("bpe"), "--tokenizer", "bpe", "--vocab",
                 "300", "--layers", "[(8,2)]", "--steps", "1", "--batch", "2", "--context", "8"})
                .status,
            0);
  EXPECT_TRUE(complains(train({"--from", path("bpe"), "--prune-vocabulary"}), 2, "train",
                        "cannot be pruned, since its pieces depend on one another"));
  std::string text;
  for (int i = 0; i < 200; ++i) text += "the zebra and the aardvark sat, the zebra\n";
  text_ = write("zebras.txt", text);
  const Outcome outcome = train({"--from", path("bpe"), "--new-words", "2", "--lr", "1e-9"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(run({"train", "--out", path("second"), "--resume", "--steps", "2"}).status, 0);
  EXPECT_EQ(run({"eval", path("second"), text_}).status, 0);
  // The pieces' names and rows are what they were, and a new row is the mean of those of its
  // pieces.
  const auto before = vectors_of("bpe"), after = vectors_of("second");
  ASSERT_EQ(after.size(), before.size() + 2);
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(after[i].first, before[i].first);
  EXPECT_EQ(after[before.size()].first, "\u2581zebra");
  EXPECT_EQ(after.back().first, "\u2581aardvark");
  std::istringstream ids(run({"tokenize", path("bpe"), "--ids"}, {.input = " zebra\n"}).out);
  std::vector<float> mean(before[0].second.size());
  std::size_t count = 0;
  for (std::size_t id = 0; ids >> id; ++count) {
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += before[id].second[i];
  }
  ASSERT_GT(count, 1U);
  for (std::size_t i = 0; i < mean.size(); ++i) {
    EXPECT_NEAR(after[before.size()].second[i], mean[i] / static_cast<float>(count), 1e-4);
  }
}

TEST_F(From, TakesNewWordsAndLeavesOutOthers) {
  // Words and the rows of their vectors, by both vocabularies.
  const auto vocabulary = [&](const std::string& model) {
    return json::parse(read_file(path(model) + "/tokenizer.json"))["tokens"]
        .get<std::vector<std::string>>();
  };
  ASSERT_EQ(run(tiny_training(text_, path("words"), {"--steps", "20"})).status, 0);
  const std::vector<std::string> before = vocabulary("words");
  ASSERT_GT(before.size(), 6U);
  std::string text;
  for (int i = 0; i < 60; ++i) {
    text += before[3] + " zebra " + before[4] + " zebra whale\n" + before[5] + " aardvark gnu\n";
  }
  text_ = write("other.txt", text);
  const std::vector<std::string> arguments = {"--from", path("words"), "--new-words",      "2",
                                              "--lr",   "1e-9",        "--valid-fraction", "0"};
  Outcome outcome = train(arguments);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("a vocabulary of"), std::string::npos) << outcome.out;
  std::vector<std::string> expected = before;
  expected.emplace_back("zebra");
  expected.emplace_back("aardvark");  // the first of three that are as frequent
  EXPECT_EQ(vocabulary("second"), expected);
  // What both know is as likely as it was, but for what new words take.
  EXPECT_EQ(run({"train", "--out", path("second"), "--resume", "--steps", "2"}).status, 0);
  EXPECT_EQ(run({"eval", path("second"), text_}).status, 0);

  std::vector<std::string> pruning = arguments;
  pruning.insert(pruning.end(), {"--prune-vocabulary", "--overwrite"});
  outcome = train(pruning);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<std::string> pruned = vocabulary("second");
  EXPECT_LT(pruned.size(), before.size());
  EXPECT_NE(std::find(pruned.begin(), pruned.end(), before[4]), pruned.end());
  EXPECT_NE(std::find(pruned.begin(), pruned.end(), "<unk>"), pruned.end());
  EXPECT_EQ(pruned.back(), "aardvark");
  EXPECT_TRUE(complains(run({"train", "--data", text_, "--out", path("third"), "--new-words", "3"}),
                        2, "train", "give --from"));
}

TEST_F(From, VectorsComeInAndGoOut) {
  const auto words = json::parse(read_file(path("first") + "/tokenizer.json"))["tokens"]
                         .get<std::vector<std::string>>();
  const std::string one = words[3] + " 1 2 3 4 5 6 7 8\n", other = words[4] + " 8 7 6 5 4 3 2 1\n";
  const std::string vectors =
      write("vectors.txt", "3 8\n" + one + other + "quux 1 1 1 1 1 1 1 1\n");
  const Outcome outcome = run(tiny_training(
      text_, path("made"), {"--vectors", vectors, "--freeze", "embedding.*", "--steps", "3"}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("2 of "), std::string::npos) << outcome.err;
  ASSERT_EQ(run({"export", path("made"), "--to", "vectors", "--out", path("vectors")}).status, 0);
  const std::string text = read_file(path("vectors") + "/vectors.txt");
  EXPECT_NE(text.find("\n" + one), std::string::npos) << text;
  EXPECT_NE(text.find("\n" + other), std::string::npos);
  EXPECT_TRUE(complains(run({"export", path("made"), "--to", "words", "--out", path("other")}), 2,
                        "export", "expected onnx, torch or vectors"));
  EXPECT_TRUE(complains(
      run({"export", path("made"), "--to", "torch", "--precision", "int8", "--out", path("other")}),
      2, "export", "are of --to onnx"));
  EXPECT_FALSE(std::filesystem::exists(path("other")));
}

TEST_F(From, RefusesAnotherModelOrTokenizer) {
  for (const auto& [flag, value, part] :
       std::vector<std::array<std::string, 3>>{{"--tokenizer", "char", "the tokenizer's kind"},
                                               {"--arch", "lstm", "the architecture"},
                                               {"--preset", "gcnn-8", "the preset"},
                                               {"--layers", "[(8,2)]", "the model's layers"}}) {
    EXPECT_TRUE(complains(train({"--from", path("first"), flag, value}), 2, "train",
                          "leave " + part + " out"));
  }
  EXPECT_TRUE(complains(train({"--from", path("none")}), 1, "train", "no model at"));
  EXPECT_FALSE(std::filesystem::exists(path("second")));
}

}  // namespace
}  // namespace sluice::cli_test
