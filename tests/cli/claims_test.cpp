// sluice claims from the command line.

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "lab/claims/claim_support.hpp"
#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Claims : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", sample_text(400));
    claim_ = write("tiny.json", lab_test::tiny_claim().dump(1));
  }
  std::string out() const { return path("out"); }
  std::vector<std::string> arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {"claims", "run", "--data", text_, "--out", out()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome claims(const std::vector<std::string>& more) { return run(arguments(more)); }
  std::string text_, claim_;
};

TEST_F(Claims, AreListedAndShown) {
  const Outcome list = run({"claims", "list"});
  ASSERT_EQ(list.status, 0) << list.err;
  for (const char* part : {"gates-help\n  Gates help\n", "van den Oord et al. 2016", "at least ",
                           "runs of", "minutes on two cores", "gated-feed-forward"}) {
    EXPECT_NE(list.out.find(part), std::string::npos) << part << "\n" << list.out;
  }
  const Outcome listed = run({"claims", "list", "--json", claim_, "gates-help"});
  ASSERT_EQ(listed.status, 0) << listed.err;
  const json claims = json::parse(listed.out)["claims"];
  ASSERT_EQ(claims.size(), 2U);
  EXPECT_EQ(claims[0]["name"], "tiny");
  EXPECT_EQ(claims[0]["runs"], 8);
  EXPECT_EQ(claims[0]["at_least"], false);
  EXPECT_EQ(claims[0]["tokens"], json({640}));
  EXPECT_EQ(claims[0]["steps"], json({20}));
  EXPECT_EQ(claims[0]["design"].get<std::string>().size(), 16U);
  EXPECT_EQ(claims[1]["at_least"], true);
  const Outcome shown = run({"claims", "show", "gates-help"});
  ASSERT_EQ(shown.status, 0) << shown.err;
  EXPECT_EQ(json::parse(shown.out)["title"], "Gates help");
}

TEST_F(Claims, AreRunAndKept) {
  const Outcome outcome = claims({claim_, "--quick"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* part : {"1/1 tiny: GLU and tanh: 4 runs of 320 tokens",
                           "unit=glu, lr 0.01, seed 2: validation loss",
                           "\ntiny: ", "  GLU's final loss is below tanh's: ", "claims.json"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
  }
  const json all = json::parse(read_file(out() + "/claims.json"));
  EXPECT_EQ(all["quick"], true);
  ASSERT_EQ(all["claims"].size(), 1U);
  const json& claim = all["claims"][0];
  EXPECT_EQ(claim["name"], "tiny");
  EXPECT_EQ(claim["command"],
            "sluice claims run " + claim_ + " --quick --data " + text_ + " --out " + out());
  EXPECT_EQ(claim["directories"], json({"tiny"}));
  EXPECT_TRUE(fs::exists(out() + "/tiny/results.json"));
  EXPECT_NE(read_file(out() + "/report.html").find("GLU and tanh"), std::string::npos);

  const Outcome again = claims({claim_, "--quick"});
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(again.out.find("validation loss"), std::string::npos);

  // Another seed is all that is trained.
  const Outcome more = claims({claim_, "--quick", "--seeds", "3", "--jobs", "1"});
  EXPECT_NE(more.out.find("unit=tanh, lr 0.01, seed 3: validation loss"), std::string::npos);
  EXPECT_EQ(more.out.find("seed 2: validation loss"), std::string::npos);
  EXPECT_NE(more.out.find("3 seeds"), std::string::npos) << more.out;

  // Verdicts of full runs are not put in the place of these.
  EXPECT_TRUE(complains(claims({claim_}), 2, "claims", "has verdicts of quick runs"));
  EXPECT_EQ(json::parse(read_file(out() + "/claims.json"))["quick"], true);
}

TEST_F(Claims, ArePlannedAndRunUntilTheyAreDecided) {
  json small = lab_test::tiny_claim();
  small["most_seeds"] = 3;
  small["comparisons"]["main"]["rates"] = {0.01};
  const std::string file = write("small.json", small.dump());
  const std::vector<std::string> more = {file, "--until-decided", "--jobs", "1"};
  std::vector<std::string> plan = arguments(more);
  plan[1] = "plan";
  const Outcome before = run(plan);
  ASSERT_EQ(before.status, 0) << before.err;
  for (const char* part : {"small: 4 runs; ", "if it takes 3", "1 claim, 4 runs: "}) {
    EXPECT_NE(before.out.find(part), std::string::npos) << part << "\n" << before.out;
  }
  EXPECT_FALSE(fs::exists(out() + "/claims.json"));
  const Outcome outcome = claims(more);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("of 2"), std::string::npos) << outcome.out;  // looks
  const json all = json::parse(read_file(out() + "/claims.json"));
  EXPECT_NE(all["claims"][0]["command"].get<std::string>().find("--until-decided"),
            std::string::npos);
  const Outcome after = run(plan);
  EXPECT_NE(after.out.find("of them there"), std::string::npos) << after.out;
  EXPECT_NE(after.out.find("from 2 seeds, "), std::string::npos) << after.out;
}

TEST_F(Claims, TheirCommandsCanBePasted) {
  text_ = write("it's a text.txt", sample_text(600));
  ASSERT_EQ(claims({claim_, "--quick", "--jobs", "1"}).status, 0);
  const json all = json::parse(read_file(out() + "/claims.json"));
  EXPECT_EQ(all["claims"][0]["command"], "sluice claims run " + claim_ +
                                             " --quick --jobs 1 --data '" + path("it") +
                                             "'\\''s a text.txt' --out " + out());
}

TEST_F(Claims, RefusesInOneSentence) {
  const auto refused = [&](const std::vector<std::string>& more, const std::string& part) {
    EXPECT_TRUE(complains(run(more), 2, "claims", part));
    EXPECT_FALSE(fs::exists(out())) << part;
  };
  refused({"claims"}, "ACTION");
  refused({"claims", "lsit"}, "did you mean list?");
  refused({"claims", "show", "gates-hlep"}, "did you mean gates-help");
  refused({"claims", "show"}, "name the claims");
  refused(arguments({}), "name the claims to run, or give --all");
  refused(arguments({"gates-hlep"}), "did you mean gates-help");
  refused(arguments({claim_, "--budget", "1m"}), "--budget is for --until-decided");
  refused(arguments({claim_, "--json"}), "--json is for list");
  refused(arguments({claim_, "--seeds", "-1"}), "--seeds: expected 1 to 1000");
  refused({"claims", "run", claim_, "--out", out()}, "--data is missing");
  refused({"claims", "run", claim_, "--data", text_}, "--out is missing");
  refused(arguments({"gates-help", write("gates-help.json", lab_test::tiny_claim().dump())}),
          "two claims are named 'gates-help'");
  json wrong = lab_test::tiny_claim();
  wrong["parts"][0]["measure"] = "final_los";
  refused(arguments({write("wrong.json", wrong.dump())}),
          "wrong.json', /parts/0/measure: unknown measure 'final_los'; did you mean final_loss?");
  refused(arguments({write("broken.json", "{\n  \"title\": 3,,\n}")}),
          "broken.json', line 2, column 14: ");
  EXPECT_TRUE(complains(run(arguments({path("none.json")})), 1, "claims", "none.json"));
  text_ = write("short.txt", sample_text(40));
  EXPECT_TRUE(complains(claims({claim_}), 1, "claims", "too few to tell variants apart"));
  EXPECT_FALSE(fs::exists(out()));
}

TEST_F(Claims, CtrlCSavesAndTheSameCommandContinues) {
  json longer = lab_test::tiny_claim();
  longer["comparisons"]["main"]["tokens"] = 1'000'000'000'000;
  const std::string file = write("longer.json", longer.dump());
  interrupt_first_run(arguments({file, "--jobs", "1"}), out());
  EXPECT_FALSE(fs::exists(out() + "/claims.json"));
}

// Tasks are texts to train on.
TEST_F(Claims, TasksAreWritten) {
  const Outcome outcome = run({"tasks", "brackets", "--lines", "50", "--out", path("b.txt")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::string text = read_file(path("b.txt"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 50);
  EXPECT_NE(outcome.out.find("50 lines of brackets"), std::string::npos) << outcome.out;
  EXPECT_TRUE(complains(run({"tasks", "bracket", "--out", path("c.txt")}), 2, "tasks",
                        "did you mean brackets?"));
  EXPECT_TRUE(complains(run({"tasks", "copy"}), 2, "tasks", "--out is missing"));
  EXPECT_TRUE(complains(run({"tasks", "copy", "--length", "1", "--out", path("c.txt")}), 2, "tasks",
                        "expected 2 to"));
  EXPECT_FALSE(fs::exists(path("c.txt")));
}

}  // namespace
}  // namespace sluice::cli_test
