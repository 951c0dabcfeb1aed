// A program with one more architecture, which is defined and registered in a test's source alone
// (support/ngram_architecture.cpp): all commands work on it.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

using nlohmann::json;

class NewArchitecture : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", sample_text(400));
  }
  static Outcome run_with(const std::vector<std::string>& arguments) {
    return run(arguments, {.program = SLUICE_WITH_NGRAM});
  }
  std::string text_;
};

TEST_F(NewArchitecture, TrainResumeEvaluateScoreGenerate) {
  const std::string model = path("model");
  const std::string config =
      write("config.json", R"({"model": {"arch": "ngram", "order": 3, "hidden": 24}})");
  const Outcome trained =
      run_with({"train", "--config", config, "--data", text_, "--out", model, "--batch", "4",
                "--context", "8", "--steps", "40", "--threads", "1"});
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_NE(trained.out.find("model: n-grams of 3 tokens, 24 wide"), std::string::npos)
      << trained.out;
  const Outcome resumed = run_with({"train", "--out", model, "--resume", "--steps", "60"});
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_NE(resumed.out.find("60 steps"), std::string::npos) << resumed.out;

  const Outcome info = run_with({"info", model, "--json"});
  ASSERT_EQ(info.status, 0) << info.err;
  const json described = json::parse(info.out)["model"];
  EXPECT_EQ(described["arch"], "ngram");
  EXPECT_EQ(described["order"], 3);
  const Outcome eval = run_with({"eval", model, text_, "--json"});
  ASSERT_EQ(eval.status, 0) << eval.err;
  const double perplexity = json::parse(eval.out)["perplexity"];
  EXPECT_GT(perplexity, 1);
  EXPECT_LT(perplexity, 20);  // of 27 characters or so
  const Outcome score = run_with({"score", model, write("lines.txt", "the cat\nsat on the mat\n")});
  EXPECT_EQ(score.status, 0) << score.err;
  const Outcome text = run_with({"generate", model, "--tokens", "5", "--seed", "1"});
  EXPECT_EQ(text.status, 0) << text.err;

  // The program without it says so in one sentence.
  EXPECT_TRUE(complains(run({"eval", model, text_}), 1, "eval", "unknown arch 'ngram'"));
}

TEST_F(NewArchitecture, ItsFieldsAreFlags) {
  const std::string model = path("model");
  const Outcome trained = run_with({"train", "--arch", "ngram", "--order", "2", "--hidden", "16",
                                    "--data", text_, "--out", model, "--batch", "4", "--context",
                                    "8", "--steps", "3", "--threads", "1"});
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_NE(trained.out.find("n-grams of 2 tokens, 16 wide"), std::string::npos) << trained.out;
  EXPECT_EQ(json::parse(read_file(model + "/config.json"))["model"]["order"], 2);
  EXPECT_TRUE(complains(run_with({"train", "--arch", "ngram", "--order", "1", "--data", text_,
                                  "--out", path("other")}),
                        2, "train", "--order: expected a whole number from 2 to 64, got 1"));
  const Outcome help = run_with({"train", "--help"});
  EXPECT_NE(help.out.find("N-grams (--arch ngram)"), std::string::npos) << help.out;
}

TEST_F(NewArchitecture, IsMatchedToOthers) {
  const std::string out = path("out");
  const Outcome compared = run_with({"compare",
                                     "--vary",
                                     "arch=gcnn,ngram,lstm",
                                     "--match",
                                     "parameters",
                                     "--data",
                                     text_,
                                     "--out",
                                     out,
                                     "--batch",
                                     "4",
                                     "--context",
                                     "8",
                                     "--tokens",
                                     "640",
                                     "--lr-grid",
                                     "0.003",
                                     "--seeds",
                                     "1",
                                     "--valid-fraction",
                                     "0.1"});
  ASSERT_EQ(compared.status, 0) << compared.err;
  const json results = json::parse(read_file(out + "/results.json"));
  ASSERT_EQ(results["variants"].size(), 3U);
  const double first = results["variants"][0]["parameters"];
  for (const json& variant : results["variants"]) {
    EXPECT_NEAR(variant["parameters"].get<double>() / first, 1, 0.01) << variant["name"];
  }
}

}  // namespace
}  // namespace sluice::cli_test
