// Every architecture on the command line: train, resume, info, eval, score, generate.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.hpp"

namespace sluice::cli_test {
namespace {

using nlohmann::json;

class Architectures : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", sample_text(400));
  }
  std::vector<std::string> train(const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"train",   "--data",    text_,       "--out", path(name),
                                    "--batch", "4",         "--context", "8",     "--steps",
                                    "6",       "--threads", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::string text_;
};

TEST_F(Architectures, TrainEvaluateScoreGenerateAndResume) {
  const std::pair<const char*, std::vector<std::string>> cases[] = {
      {"gcnn", {"--layers", "[(8,3)]*2", "--norm", "layer", "--unit", "glu"}},
      {"rnn", {"--depth", "2", "--hidden", "12", "--unit", "relu"}},
      {"lstm",
       {"--depth", "2", "--hidden", "12", "--remove-gates", "output", "--forget-bias", "2"}},
      {"gru", {"--hidden", "12", "--reset", "before", "--variational"}},
      {"indrnn", {"--depth", "4", "--hidden", "12", "--bound", "0.9", "--norm", "batch"}},
      {"mut1", {"--hidden", "12"}},
      {"transformer",
       {"--depth", "2", "--dim", "16", "--heads", "2", "--window", "6", "--ffn", "geglu"}},
  };
  for (const auto& [arch, flags] : cases) {
    SCOPED_TRACE(arch);
    const std::string model = path(arch);
    std::vector<std::string> more = {"--arch", arch};
    more.insert(more.end(), flags.begin(), flags.end());
    const Outcome trained = run(train(arch, more));
    ASSERT_EQ(trained.status, 0) << trained.err;
    EXPECT_NE(trained.out.find(std::string("model: ")), std::string::npos);

    const Outcome resumed =
        run({"train", "--out", model, "--resume", "--steps", "6", "--threads", "1"});
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    const Outcome info = run({"info", model, "--json"});
    ASSERT_EQ(info.status, 0) << info.err;
    EXPECT_EQ(json::parse(info.out)["model"]["arch"], arch);
    EXPECT_EQ(run({"info", model}).status, 0);

    const Outcome eval = run({"eval", model, text_, "--json"});
    ASSERT_EQ(eval.status, 0) << eval.err;
    EXPECT_GT(json::parse(eval.out)["perplexity"].get<double>(), 1);
    const std::string lines = write("lines.txt", "the cat\nsat on the mat\n");
    EXPECT_EQ(run({"score", model, lines}).status, 0);
    const Outcome generated = run({"generate", model, "--tokens", "5", "--seed", "1"});
    EXPECT_EQ(generated.status, 0) << generated.err;
  }
}

TEST_F(Architectures, EachRefusalIsOneSentence) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--arch", "lsmt"}, "lstm"},
      {{"--arch", "lstm", "--unit", "glu"}, "unit"},
      {{"--arch", "rnn", "--unit", "glu"}, "expected an activation"},
      {{"--arch", "lstm", "--layers", "[(8,3)]*2"}, "layers"},
      {{"--arch", "gcnn", "--heads", "2"}, "heads"},
      {{"--arch", "transformer", "--dim", "30", "--heads", "4"}, "heads"},
      {{"--arch", "transformer", "--ffn", "swglu"}, "swiglu"},
      {{"--arch", "transformer", "--positions", "sine"}, "rotary"},
      {{"--arch", "lstm", "--remove-gates", "inptu"}, "input"},
      {{"--arch", "gru", "--reset", "never"}, "before"},
      {{"--arch", "lstm", "--hidden", "0"}, "hidden"},
      {{"--arch", "lstm", "--depth", "-1"}, "depth"},
      {{"--arch", "indrnn", "--bound", "-1"}, "bound"},
      {{"--arch", "lstm", "--hidden", "1e7"}, "memory"},
      {{"--norm", "instance"}, "future"},
      {{"--norm", "lyaer"}, "layer"},
      {{"--arch", "lstm", "--norm", "weight"}, "weight"},
      {{"--layers", "[(10,3)]*2", "--norm", "group", "--groups", "3"}, "groups"},
      {{"--layers", "[(10,3)]*2", "--norm", "group", "--groups", "0"}, "groups"},
      {{"--arch", "lstm", "--norm", "group", "--groups", "0"}, "groups"},
      {{"--arch", "transformer", "--norm", "group", "--groups", "-1"}, "groups"},
  };
  for (const auto& [flags, part] : cases) {
    EXPECT_TRUE(complains(run(train("model", flags)), 2, "train", part)) << flags.back();
  }
}

}  // namespace
}  // namespace sluice::cli_test
