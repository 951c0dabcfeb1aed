// Texts as they come: packed, from standard input, as fields of JSON lines; for train, eval and
// score.

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Texts : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = sample_text(300);
    file_ = write("text.txt", text_);
    packed_ = write("packed.txt", text_);
    ASSERT_EQ(std::system(("gzip -n < " + file_ + " > " + packed_).c_str()), 0);
    lines_ = write("text.jsonl", json({{"body", text_}}).dump() + "\n");
    model_ = path("model");
  }
  std::string weights(const std::string& model) const {
    return read_file(model + "/model.safetensors");
  }
  std::string text_, file_, packed_, lines_, model_;
};

TEST_F(Texts, TrainAlikeHoweverTheyCome) {
  const std::vector<std::string> steps = {"--steps", "5"};
  ASSERT_EQ(run(tiny_training(file_, model_, steps)).status, 0);
  const std::string expected = weights(model_);
  const auto train = [&](const std::string& data, std::vector<std::string> more,
                         const std::string& input = "") {
    more.insert(more.end(), steps.begin(), steps.end());
    more.emplace_back("--overwrite");
    const Outcome outcome = run(tiny_training(data, model_, more), {.input = input});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    for (const auto& entry : fs::directory_iterator(model_ + "/cache")) {
      EXPECT_EQ(entry.path().extension(), ".bin") << entry.path() << " is left over";
    }
    return weights(model_) == expected;
  };
  EXPECT_TRUE(train(packed_, {}));
  EXPECT_TRUE(train(lines_, {"--field", "body"}));
  EXPECT_TRUE(train("-", {}, text_));
  EXPECT_TRUE(train("-", {}, read_file(packed_)));
  EXPECT_TRUE(train("/dev/stdin", {}, "\xEF\xBB\xBF" + text_));
}

TEST_F(Texts, AreEvaluatedAndScoredAlike) {
  ASSERT_EQ(run(tiny_training(file_, model_, {"--steps", "5"})).status, 0);
  const auto nll = [&](const std::vector<std::string>& files, const std::string& input = "") {
    std::vector<std::string> arguments = {"eval", model_, "--json"};
    arguments.insert(arguments.end(), files.begin(), files.end());
    const Outcome outcome = run(arguments, {.input = input});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.status == 0 ? json::parse(outcome.out)["nll"].get<double>() : 0;
  };
  const double expected = nll({file_});
  EXPECT_EQ(nll({packed_}), expected);
  EXPECT_EQ(nll({"-"}, text_), expected);
  EXPECT_EQ(nll({"-"}, read_file(packed_)), expected);
  EXPECT_EQ(nll({lines_, "--field", "body"}), expected);
  EXPECT_GT(nll({file_, packed_}), expected * 1.9);
  const std::string scores = run({"score", model_, file_}).out;
  EXPECT_EQ(run({"score", model_, packed_}).out, scores);
  EXPECT_EQ(run({"score", model_}, {.input = read_file(packed_)}).out, scores);
  EXPECT_EQ(run({"score", model_, "-"}, {.input = "\xEF\xBB\xBF" + text_}).out, scores);
}

TEST_F(Texts, OfDirectoriesWhatIsNotTextIsListed) {
  fs::create_directories(path("texts"));
  write("texts/a.txt", text_);
  write("texts/b.png", std::string("\x89PNG\0", 5));
  const Outcome outcome = run(tiny_training(path("texts"), model_, {"--steps", "2"}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("one file is not text and was left out: " + path("texts/b.png")),
            std::string::npos)
      << outcome.out;
  const Outcome eval = run({"eval", model_, path("texts")});
  EXPECT_EQ(eval.status, 0);
  EXPECT_NE(eval.err.find("b.png"), std::string::npos);
  EXPECT_TRUE(complains(run({"eval", model_, path("texts"), "--include", "*.md"}), 1, "eval",
                        "none of its files match"));
}

TEST_F(Texts, ThatAreDamagedAreRefusedInASentence) {
  const std::string whole = read_file(packed_);
  write("cut.gz", whole.substr(0, whole.size() / 2));
  EXPECT_TRUE(complains(run(tiny_training(path("cut.gz"), model_)), 1, "train", "end too early"));
  EXPECT_FALSE(fs::exists(model_)) << "nothing is left behind";
  ASSERT_EQ(run(tiny_training(file_, model_, {"--steps", "2"})).status, 0);
  EXPECT_TRUE(complains(run({"eval", model_, path("cut.gz")}), 1, "eval", "end too early"));
  EXPECT_TRUE(complains(run({"score", model_, path("cut.gz")}), 1, "score", "end too early"));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// `ulimit -v` counts what is reserved: were it 64 MB for each of the twelve threads that encode the
// text, there would be none for the model.
TEST_F(Texts, ThreadsThatEncodeThemLeaveAddressSpaceForTheModel) {
  std::string long_text;
  while (long_text.size() < 14'000'000) long_text += text_;
  const Outcome outcome = run({"train",       "--data",    write("long.txt", long_text),
                               "--tokenizer", "char",      "--valid-fraction",
                               "0",           "--layers",  "[(1024,5)]",
                               "--dim",       "1024",      "--batch",
                               "1",           "--context", "8",
                               "--threads",   "12",        "--steps",
                               "1",           "--out",     model_},
                              {.address_space = std::size_t{660} << 20U});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}
#endif

}  // namespace
}  // namespace sluice::cli_test
