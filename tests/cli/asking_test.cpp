// rescore, next, mix and arpa: what is asked of trained models besides scores.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

using nlohmann::json;

class Asking : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", sample_text(300));
    model_ = path("model");
    ASSERT_EQ(run(tiny_training(text_, model_, {"--steps", "60", "--lr", "0.02"})).status, 0);
  }
  double score(const std::string& line) const {
    return json::parse(run({"score", model_, "--json"}, {.input = line + "\n"}).out)
        .at("log_probability")
        .get<double>();
  }
  /// A unigram of the model's words.
  std::string unigram() const {
    std::string grams;
    int count = 1;
    const json tokenizer = json::parse(read_file(model_ + "/tokenizer.json"));
    for (const json& token : tokenizer["tokens"]) {
      const auto name = token.get<std::string>();
      grams += "-1.3\t" + (name == "<eos>" ? "</s>" : name) + "\n";
      ++count;
    }
    return "\\data\\\nngram 1=" + std::to_string(count) + "\n\\1-grams:\n-99\t<s>\n" + grams +
           "\\end\\\n";
  }
  std::string text_, model_;
};

TEST_F(Asking, RescoresLists) {
  const std::string list = "u-1 the cat sat\nu-2 the the the\nv-1 the dog\n";
  const Outcome costs = run({"rescore", model_, "--format", "kaldi"}, {.input = list});
  EXPECT_EQ(costs.status, 0) << costs.err;
  EXPECT_EQ(std::count(costs.out.begin(), costs.out.end(), '\n'), 3);
  EXPECT_NEAR(std::stod(costs.out.substr(4)), -score("the cat sat"), 1e-3) << costs.out;
  const Outcome best = run({"rescore", model_, "--format", "kaldi", "--best"}, {.input = list});
  EXPECT_EQ(best.out, "u the cat sat\nv the dog\n") << best.err;

  const std::string references = write("refs", "u the cat sat\nv the dog\n");
  const std::string made = write("costs", "u-1 9\nu-2 5\nv-1 1\n");
  const Outcome tuned =
      run({"rescore", model_, "--format", "kaldi", "--costs", made, "--tune", references, "--json"},
          {.input = list});
  ASSERT_EQ(tuned.status, 0) << tuned.err;
  const json found = json::parse(tuned.out);
  EXPECT_EQ(found["word_error_rate"]["rate"], 0);
  EXPECT_NEAR(found["without_model"]["rate"].get<double>(), 0.4, 1e-9);
  const Outcome with =
      run({"rescore", model_, "--format", "kaldi", "--costs", made, "--best", "--weight",
           found["weight"].dump(), "--word-reward", found["word_reward"].dump()},
          {.input = list});
  EXPECT_EQ(with.out, "u the cat sat\nv the dog\n") << with.err;

  const Outcome harmed = run({"rescore", model_, "--format", "moses"},
                             {.input = "0 ||| the cat ||| a= 1\nnonsense\n"});
  EXPECT_TRUE(complains(harmed, 1, "rescore", "line 2"));
  EXPECT_NE(harmed.out.find("a= 1 Sluice= -"), std::string::npos);
  EXPECT_NE(harmed.out.find("\nnonsense\n"), std::string::npos);
  EXPECT_TRUE(complains(run({"rescore", model_, "--format", "plain"}), 2, "rescore", "moses"));
  EXPECT_TRUE(complains(run({"rescore", model_}), 2, "rescore", "--format"));
  EXPECT_TRUE(complains(run({"rescore", model_, "--format", "kaldi", "--given", "a=1"}), 2,
                        "rescore", "moses"));
}

TEST_F(Asking, SaysWhatComesNext) {
  const Outcome words = run({"next", model_, "the", "--top", "3", "--json"});
  ASSERT_EQ(words.status, 0) << words.err;
  const json next = json::parse(words.out);
  ASSERT_EQ(next["next"].size(), 3U);
  const auto first = next["next"][0]["text"].get<std::string>();
  EXPECT_GE(next["next"][0]["probability"], next["next"][1]["probability"]);
  const Outcome begun =
      run({"next", model_, "the", "--starting-with", first.substr(0, 2), "--top", "1"});
  EXPECT_EQ(begun.out.substr(begun.out.find('\t')), "\t" + first + "\n") << begun.err;
  const std::string given = write("given", first + "\n" + first + " sat\n");
  const Outcome rated = run({"next", model_, "the", "--candidates", given, "--json"});
  ASSERT_EQ(rated.status, 0) << rated.err;
  EXPECT_NEAR(json::parse(rated.out)["next"][0]["probability"].get<double>(),
              next["next"][0]["probability"].get<double>(), 1e-5);
  const Outcome many =
      run({"next", model_, "-", "--top", "1", "--json"}, {.input = "the\nthe cat\n"});
  EXPECT_EQ(std::count(many.out.begin(), many.out.end(), '\n'), 2) << many.err;
  EXPECT_TRUE(complains(run({"next", model_, "a", "--top", "0"}), 2, "next", "1 continuation"));
  EXPECT_TRUE(complains(run({"next", model_, "a", "--normalize"}), 2, "next", "--candidates"));
  EXPECT_TRUE(complains(run({"next", model_, "a", "--candidates", write("none", "")}), 1, "next",
                        "is empty"));
}

TEST_F(Asking, NgramsAreModels) {
  const std::string arpa = write("unigram.arpa", unigram()), mapped = path("unigram.ngram");
  const Outcome made = run({"arpa", arpa, "--out", mapped});
  EXPECT_EQ(made.status, 0) << made.err;
  const Outcome eval = run({"eval", mapped, text_, "--json"});
  ASSERT_EQ(eval.status, 0) << eval.err;
  EXPECT_NEAR(json::parse(eval.out)["perplexity"].get<double>(), std::pow(10, 1.3), 1e-3);
  EXPECT_EQ(run({"score", arpa, text_}).out, run({"score", mapped, text_}).out);

  const Outcome mixed = run({"mix", "--tune", text_, model_, mapped, "--json"});
  ASSERT_EQ(mixed.status, 0) << mixed.err;
  const json found = json::parse(mixed.out);
  EXPECT_LE(found["perplexity"].get<double>(),
            found["models"][0]["perplexity"].get<double>() + 1e-5);
  EXPECT_LT(found["models"][0]["perplexity"], found["models"][1]["perplexity"]);
  // A path that is no UTF-8, which JSON cannot say.
  const std::string odd = path("\xff.ngram");
  std::filesystem::copy_file(mapped, odd);
  const Outcome of_odd = run({"mix", "--tune", text_, model_, odd, "--json"});
  ASSERT_EQ(of_odd.status, 0) << of_odd.err;
  EXPECT_TRUE(json::parse(of_odd.out)["models"][1]["model"].get<std::string>().ends_with(
      "\xef\xbf\xbd.ngram"));
  EXPECT_EQ(json::parse(of_odd.out)["perplexity"], found["perplexity"]);
  const Outcome as_found = run({"eval", found["mixture"].get<std::string>(), text_, "--json"});
  ASSERT_EQ(as_found.status, 0) << as_found.err;
  EXPECT_NEAR(json::parse(as_found.out)["perplexity"].get<double>(),
              found["perplexity"].get<double>(), 1e-2);
  EXPECT_EQ(run({"next", model_ + "*0.5+" + arpa + "*0.5", "the", "--top", "2"}).status, 0);

  EXPECT_TRUE(complains(run({"score", write("bad.arpa", "\\data\\\nngram 1=x\n")}), 1, "score",
                        "line 2: expected 'ngram 1='"));
  const std::string other =
      write("other.arpa", "\\data\\\nngram 1=3\n\\1-grams:\n-9\t<s>\n-1\t</s>\n-1\tzzz\n\\end\\\n");
  EXPECT_TRUE(complains(run({"score", model_ + "+" + other}), 1, "score", "vocabularies"));
  EXPECT_TRUE(complains(run({"arpa", path("missing"), "--out", mapped}), 1, "arpa", "missing"));
}

}  // namespace
}  // namespace sluice::cli_test
