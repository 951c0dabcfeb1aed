// tokenizer, tokenize, detokenize and vocabulary, and training with a tokenizer that was brought.

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

using nlohmann::json;

class Tokenizers : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = sample_text(300);
    file_ = write("text.txt", text_);
  }
  std::string text_, file_;
};

TEST_F(Tokenizers, AreTrainedOnTheirOwnAndTakenByTrain) {
  const Outcome made = run({"tokenizer", "train", "--data", file_, "--tokenizer", "bpe", "--vocab",
                            "300", "--normalize", "nfc", "--out", path("cut")});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_NE(made.out.find("bpe tokenizer of "), std::string::npos) << made.out;
  EXPECT_TRUE(complains(run({"tokenizer", "train", "--data", file_, "--out", path("cut")}), 1,
                        "tokenizer", "is not empty"));
  // What a killed one leaves is no obstacle.
  std::filesystem::create_directories(path("again"));
  write("again/tokenizer.model.tmp0123456789abcdef", "half");
  EXPECT_EQ(run({"tokenizer", "train", "--data", file_, "--tokenizer", "bpe", "--vocab", "300",
                 "--out", path("again")})
                .status,
            0);
  EXPECT_TRUE(complains(run({"tokenizer", "trian", "--data", file_, "--out", path("x")}), 2,
                        "tokenizer", "did you mean train?"));
  // Of a training run, the directory and the file stand for the same.
  for (const std::string& named : {path("cut"), path("cut") + "/tokenizer.model"}) {
    const Outcome trained = run({"train", "--data", file_, "--out", path("model"), "--tokenizer",
                                 named, "--layers", "[(8,2)]", "--dim", "8", "--steps", "2",
                                 "--batch", "2", "--context", "8", "--overwrite"});
    ASSERT_EQ(trained.status, 0) << trained.err;
    EXPECT_EQ(read_file(path("model") + "/tokenizer.model"),
              read_file(path("cut") + "/tokenizer.model"));
  }
  EXPECT_TRUE(complains(run({"train", "--data", file_, "--out", path("other"), "--tokenizer",
                             path("cut"), "--vocab", "400"}),
                        2, "train", "leave the vocabulary size out"));
  EXPECT_TRUE(
      complains(run({"train", "--data", file_, "--out", path("other"), "--tokenizer", "wrod"}), 2,
                "train", "did you mean word?"));
}

TEST_F(Tokenizers, CutAndJoin) {
  const std::string words = write("words.txt", "the\ngate\nopens\n");
  EXPECT_EQ(run({"tokenize", words}, {.input = "the gate\n\nopens x"}).out,
            "the gate\n\nopens <unk>\n");
  EXPECT_EQ(run({"tokenize", words, "--ids"}, {.input = "the gate\n\nopens x"}).out,
            "1 2\n\n3 4\n");
  EXPECT_EQ(run({"detokenize", words}, {.input = "1 2\n\n 3 \r\n"}).out, "the gate\n\nopens\n");
  EXPECT_TRUE(complains(run({"detokenize", words}, {.input = "1\n2 x\n"}), 1, "detokenize",
                        "line 2: expected the numbers of tokens, got 'x'"));
  EXPECT_TRUE(complains(run({"detokenize", words}, {.input = "9\n"}), 1, "detokenize",
                        "token 9 is not in the vocabulary"));
  EXPECT_TRUE(complains(run({"tokenize", words}, {.input = "a\n\xFF\n"}), 1, "tokenize", "line 2"));
}

TEST_F(Tokenizers, AreListedAndMeasured) {
  const std::string words = write("words.txt", "the\ngate\nopens\n");
  EXPECT_EQ(run({"vocabulary", words}).out, "0\t<eos>\n1\tthe\n2\tgate\n3\topens\n4\t<unk>\n");
  const std::string text = write("t.txt", "the gate\nthe x y\n");
  EXPECT_EQ(run({"vocabulary", words, text, "--list"}).out,
            "0\t2\t<eos>\n1\t2\tthe\n2\t1\tgate\n3\t0\topens\n4\t2\t<unk>\n");
  const json facts = json::parse(run({"vocabulary", words, text, "--json"}).out);
  EXPECT_EQ(facts["tokens"], 7);
  EXPECT_EQ(facts["used"], 4);
  EXPECT_EQ(facts["oov"], 2);
  EXPECT_NEAR(facts["oov_rate"].get<double>(), 2.0 / 7, 1e-12);
  EXPECT_EQ(facts["coverage"], json::parse(R"([{"size": 5, "share": 1.0}])"));
  EXPECT_NE(run({"vocabulary", words, text}).out.find("28.571%"), std::string::npos);
}

}  // namespace
}  // namespace sluice::cli_test
