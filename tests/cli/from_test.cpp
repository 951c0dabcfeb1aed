// sluice train --from: a run that starts with the weights of another.

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

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

TEST_F(From, MayReplaceItself) {
  const double before = perplexity("first");
  std::vector<std::string> arguments = {
      "train", "--data", text_,     "--out", path("first"), "--from", path("first"), "--overwrite",
      "--lr",  "1e-9",   "--steps", "1",     "--batch",     "2",      "--context",   "8"};
  const Outcome outcome = run(arguments);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NEAR(perplexity("first"), before, 1e-3);
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
