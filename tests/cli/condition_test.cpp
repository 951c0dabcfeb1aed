// Text with labels, from training to classification; published trainings; what reading costs.

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

using nlohmann::json;

class Conditional : public ScratchTest {
 protected:
  /// Lines of two kinds that share their letters: "abab.." and "aabb..".
  static std::string lines(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      std::string each;
      for (int k = 0; k < 3 + i % 4; ++k) each += i % 2 == 0 ? "abab" : "aabb";
      text += std::string(i % 2 == 0 ? "turns" : "pairs") + "\t" + each + "\n";
    }
    return text;
  }
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("lines.tsv", lines(400));
    model_ = path("model");
    const Outcome trained =
        run({"train",       "--data",  text_,      "--condition", "1",       "--out",     model_,
             "--tokenizer", "char",    "--layers", "[(16,3)]*2",  "--steps", "120",       "--lr",
             "0.01",        "--batch", "4",        "--context",   "32",      "--dropout", "0"});
    ASSERT_EQ(trained.status, 0) << trained.err;
    EXPECT_NE(trained.out.find("conditional on 2 labels: pairs, turns"), std::string::npos)
        << trained.out;
  }
  double nll(std::vector<std::string> more) const {
    more.insert(more.begin(), {"eval", model_});
    more.emplace_back("--json");
    const Outcome outcome = run(more);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json::parse(outcome.out)["nll"].get<double>();
  }
  std::string text_, model_;
};

TEST_F(Conditional, LabelsMakeTextMoreProbable) {
  const std::string plain = write("turns.txt", "abababababab\nabababab\n");
  const double right = nll({plain, "--label", "turns"});
  EXPECT_LT(right, nll({plain}));
  EXPECT_LT(nll({plain}), nll({plain, "--label", "pairs"}));
  const std::string labelled = write("turns.tsv", "turns\tabababababab\nturns\tabababab\n");
  EXPECT_NEAR(nll({labelled, "--condition", "1"}), right, 1e-4);
  const Outcome other = run({"eval", model_, plain, "--label", "tunrs"});
  EXPECT_TRUE(complains(other, 2, "eval", "did you mean"));
  EXPECT_TRUE(complains(run({"eval", model_, labelled, "--condition", "2"}), 1, "eval", "column"));
  EXPECT_TRUE(complains(run({"eval", model_, labelled, "--condition", "1", "--label", "turns"}), 2,
                        "eval", "--condition and --label"));
}

TEST_F(Conditional, ScoresAndGeneratesUnderALabel) {
  const auto score = [&](const std::string& label) {
    const Outcome scored =
        run({"score", model_, "--json", "--condition", label}, {.input = "aabbaabbaabb\n"});
    return json::parse(scored.out)["log_probability"].get<double>();
  };
  EXPECT_GT(score("pairs"), score("turns") + 1);
  const auto text = [&](const std::string& label) {
    return run({"generate", model_, "--prompt", "a", "--tokens", "9", "--temperature", "0",
                "--condition", label})
        .out;
  };
  EXPECT_EQ(text("turns").substr(0, 10), "ababababab");
  EXPECT_EQ(text("pairs").substr(0, 10), "aabbaabbaa");
  EXPECT_TRUE(complains(run({"generate", model_, "--condition", "x"}), 2, "generate", "label 'x'"));
}

TEST_F(Conditional, ClassifiesAndCalibrates) {
  const Outcome plain = run({"classify", model_}, {.input = "ababababab\naabbaabbaabb\n"});
  ASSERT_EQ(plain.status, 0) << plain.err;
  std::istringstream rows(plain.out);
  std::string first, second;
  std::getline(rows, first);
  std::getline(rows, second);
  EXPECT_EQ(first.substr(0, 6), "turns\t");
  EXPECT_EQ(second.substr(0, 6), "pairs\t");
  const Outcome all = run({"classify", model_, "--all", "--json"}, {.input = "abab\n"});
  const json labels = json::parse(all.out)["labels"];
  EXPECT_NEAR(labels["turns"].get<double>() + labels["pairs"].get<double>(), 1, 1e-6);
  const Outcome weighed =
      run({"classify", model_, "--all", "--json", "--prior", "pairs=1e9"}, {.input = "abab\n"});
  EXPECT_EQ(json::parse(weighed.out)["label"], "pairs");

  const Outcome judged =
      run({"classify", model_, text_, "--condition", "1", "--json", "--calibrate"});
  ASSERT_EQ(judged.status, 0) << judged.err;
  const json report = json::parse(judged.out);
  EXPECT_EQ(report["lines"], 200);
  EXPECT_GT(report["accuracy"].get<double>(), 0.95);
  const json kept = json::parse(read_file(std::filesystem::path(model_) / "calibration.json"));
  EXPECT_EQ(kept["temperature"], report["temperature"]);
  EXPECT_EQ(kept["lines"], 200);

  EXPECT_TRUE(complains(run({"classify", model_, "--calibrate"}), 2, "classify", "--condition"));
  EXPECT_TRUE(complains(run({"classify", model_, "--prior", "turn=2"}, {.input = "a\n"}), 2,
                        "classify", "turns"));
}

TEST_F(Conditional, IsNotExportedWithoutItsLabels) {
  EXPECT_TRUE(complains(run({"export", model_, "--to", "torch", "--out", path("torch")}), 2,
                        "export", "labels"));
  EXPECT_FALSE(std::filesystem::exists(path("torch")));
}

TEST_F(Conditional, OtherModelsHaveNoLabels) {
  const std::string text = write("text.txt", sample_text(100)), model = path("plain");
  ASSERT_EQ(run(tiny_training(text, model, {"--steps", "2"})).status, 0);
  EXPECT_TRUE(complains(run({"classify", model, text}), 2, "classify", "no labels"));
  EXPECT_TRUE(complains(run({"eval", model, text, "--label", "x"}), 2, "eval", "no labels"));
  // The text of labelled lines is text to them.
  const Outcome read = run({"eval", model, text_, "--condition", "1"});
  EXPECT_EQ(read.status, 0) << read.err;
}

TEST_F(Conditional, LabelsAreText) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "a\xff\tthe cat sat\nb\tthe dog sat\n";
  EXPECT_TRUE(complains(
      run(tiny_training(write("odd.txt", text), path("odd"), {"--steps", "2", "--condition", "1"})),
      2, "train", "is not UTF-8"));
}

TEST_F(Conditional, GoesOnWithItsLabels) {
  const Outcome more = run({"train", "--out", model_, "--resume", "--steps", "130"});
  EXPECT_EQ(more.status, 0) << more.err;
  // Other text with fewer labels, in another order: the model's stay.
  const std::string other = write("other.tsv", "turns\tababab\nnobody\tabab\n" + lines(60));
  const Outcome again = run({"train", "--data", other, "--condition", "1", "--out", path("from"),
                             "--from", model_, "--steps", "3", "--batch", "2", "--context", "16"});
  ASSERT_EQ(again.status, 0) << again.err;
  const json config = json::parse(read_file(std::filesystem::path(path("from")) / "config.json"));
  EXPECT_EQ(config["model"]["labels"], (json{"pairs", "turns"}));
  EXPECT_EQ(config["data"]["condition"], "1");
}

TEST_F(Conditional, InfoCountsWhatReadingCosts) {
  const Outcome shown = run({"info", model_, "--length", "50", "--json"});
  ASSERT_EQ(shown.status, 0) << shown.err;
  const json cost = json::parse(shown.out)["cost"];
  EXPECT_EQ(cost["length"], 50);
  EXPECT_EQ(cost["sequential"], 2);
  // 49 tokens before the last, 2 a layer.
  EXPECT_EQ(cost["depending"], 25);
  EXPECT_GT(cost["flop"].get<double>(), 0);
  EXPECT_GT(cost["seconds_one_by_one"].get<double>(), 0);
  EXPECT_NE(run({"info", model_, "--length", "50"}).out.find("wait for one another   2 layers"),
            std::string::npos);
  EXPECT_TRUE(
      complains(run({"info", model_, "--length", "0"}), 2, "info", "--length: expected 1 to"));
}

class Recipe : public ScratchTest {};

TEST_F(Recipe, SetsWhatIsNotGiven) {
  const std::string text = write("text.txt", sample_text(200)), model = path("model");
  const Outcome trained =
      run({"train", "--data", text, "--out", model, "--recipe", "dauphin-wikitext103", "--preset",
           "tiny", "--steps", "2", "--context", "16"});
  ASSERT_EQ(trained.status, 0) << trained.err;
  const json config = json::parse(read_file(std::filesystem::path(model) / "config.json"));
  EXPECT_EQ(config["training"]["optimizer"], "nesterov");
  EXPECT_EQ(config["training"]["weight_decay"], 5e-6);
  EXPECT_EQ(config["training"]["context"], 16);
  EXPECT_EQ(config["training"]["schedule"], "plateau");
  EXPECT_EQ(config["model"]["layers"], "[(64,4)]*4");
  EXPECT_TRUE(complains(run({"train", "--data", text, "--out", model, "--recipe", "dauphin"}), 2,
                        "train", "dauphin-wikitext103"));
}

}  // namespace
}  // namespace sluice::cli_test
