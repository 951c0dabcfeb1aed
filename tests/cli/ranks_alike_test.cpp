// Several processes under a real mpirun that are not alike: one sentence says who is not, and
// nothing is written.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "ranks.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;

using Command = std::vector<std::string>;

class RanksAlike : public Ranks {
 protected:
  void expect_other(const Command& first, const Command& second, const std::string& what) const {
    SCOPED_TRACE(first[0] + ": " + what);
    const Outcome outcome = run(beside(first, second), options(0));
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

// What the others have to say is in a file for each, on request; what ends a job is said all the
// same.
TEST_F(RanksAlike, OthersKeepLogsOnRequest) {
  ProcessOptions logging = options(0);
  logging.environment.push_back("SLUICE_RANK_LOGS=" + path("logs/of"));
  const Command plain = six("out", {"--steps", "3"});
  const Outcome trained = run(on(3, plain), logging);
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_EQ(trained.out.find("finished: "), trained.out.rfind("finished: "));
  EXPECT_FALSE(fs::exists(path("logs/of/rank-0.log")));
  for (const std::string rank : {"1", "2"}) {
    const std::string log = read_file(path("logs/of/rank-" + rank + ".log"));
    EXPECT_EQ(log.rfind("sluice ", 0), 0U) << log;
    for (const std::string& said :
         {": rank " + rank + " on ", std::string("\nmodel: "), std::string("validation loss "),
          std::string("\nfinished: 3 steps")}) {
      EXPECT_NE(log.find(said), std::string::npos) << said << log;
    }
  }
  // One of them fails, and says so where the user looks, too.
  const Outcome failed =
      run(beside({"eval", path("out"), text_}, {"eval", path("nothing"), text_}), logging);
  EXPECT_EQ(failed.status, 1);
  EXPECT_NE(failed.err.find("sluice eval: rank 1 on "), std::string::npos) << failed.err;
  const std::string log = read_file(path("logs/of/rank-1.log"));
  EXPECT_NE(log.find("sluice eval: no model at ", log.find("\nfinished: ")), std::string::npos)
      << log;
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
        "--seeds", "1",         "--match",  "width"};
  };
  expect_other(compare(text_), compare(write("other.txt", sample_text(300))), "text");
}

}  // namespace
}  // namespace sluice::cli_test
