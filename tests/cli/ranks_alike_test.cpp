// Several processes under a real mpirun that are not alike: one sentence says who is not, and
// nothing is written.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "ranks.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;

using Command = std::vector<std::string>;

class RanksAlike : public Ranks {
 protected:
  void expect_other(const Command& first, const Command& second, const std::string& what) const {
    SCOPED_TRACE(first[0] + ": " + what);
    const Outcome outcome = run(beside(first, second), options());
    EXPECT_EQ(outcome.status, 1);
    if (first[0] != "train") {
      EXPECT_EQ(outcome.out, "");
    }
    const std::string begin = "sluice " + first[0] + ": rank 1 on ";
    const std::size_t at = outcome.err.find(begin);
    ASSERT_NE(at, std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.find("sluice " + first[0], at + 1), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find(" has another " + what + " than rank 0 on "), std::string::npos)
        << outcome.err;
    EXPECT_FALSE(fs::exists(path("out")));
  }
};

TEST_F(RanksAlike, OfTraining) {
  const Command plain = six("out", {"--steps", "3"});
  expect_other(plain, six("out", {"--steps", "3", "--seed", "7"}), "--seed");
  // As long, so that its places are there.
  std::string other = sample_text(400);
  other[other.size() / 2] = other[other.size() / 2] == 'x' ? 'y' : 'x';
  const std::string text = text_;
  text_ = write("other.txt", other);
  const Command on_other = six("out", {"--steps", "3"});
  text_ = text;
  expect_other(plain, on_other, "text");
  const auto by_config = [&](const std::string& name, const std::string& seed) {
    return six("out", {"--steps", "3", "--config",
                       write(name, R"({"training": {"seed": )" + seed + "}}")});
  };
  expect_other(by_config("a.json", "3"), by_config("b.json", "4"), "configuration");
}

TEST_F(RanksAlike, OfAModelThatIsAsked) {
  ASSERT_EQ(run(six("a", {"--steps", "2"})).status, 0);
  ASSERT_EQ(run(six("b", {"--steps", "2", "--seed", "2"})).status, 0);
  const std::string a = path("a"), b = path("b"), other = write("other.txt", sample_text(90)),
                    lists = write("nbest", "1 ||| a line ||| f= 1 ||| -3\n");
  const auto inspect = [&](const std::string& model, const std::string& text) {
    return Command{"inspect", model, "--text", text, "--out", path("out"), "--threads", "1"};
  };
  expect_other({"eval", a, text_}, {"eval", b, text_}, "model");
  expect_other({"eval", a, text_}, {"eval", a, other}, "text");
  expect_other({"score", a, text_}, {"score", b, text_}, "model");
  expect_other({"score", a, text_}, {"score", a, text_, "--no-bos"}, "--no-bos");
  expect_other({"rescore", a, lists, "--format", "moses"},
               {"rescore", b, lists, "--format", "moses"}, "model");
  expect_other(inspect(a, text_), inspect(b, text_), "model");
  expect_other(inspect(a, text_), inspect(a, other), "text");
}

TEST_F(RanksAlike, OfAComparison) {
  const auto compare = [&](const std::string& text) {
    return Command{
        "compare", "--data",    text,       "--out",     path("out"),   "--vary", "unit=glu,tanh",
        "--steps", "4",         "--layers", "[(8,2)]",   "--tokenizer", "byte",   "--batch",
        "2",       "--context", "8",        "--threads", "1",           "--jobs", "1",
        "--seeds", "1"};
  };
  expect_other(compare(text_), compare(write("other.txt", sample_text(300))), "text");
}

}  // namespace
}  // namespace sluice::cli_test
