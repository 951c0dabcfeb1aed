// sluice compare from the command line.

#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "sluice/base/file.hpp"

namespace sluice::cli_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Compare : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    text_ = write("text.txt", sample_text(400));
  }
  std::string out() const { return path("out"); }
  std::vector<std::string> arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {
        "compare",    "--data",           text_, "--out",       out(), "--layers",
        "[(12,3)]*2", "--batch",          "4",   "--context",   "8",   "--tokenizer",
        "word",       "--valid-fraction", "0.1", "--min-count", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome compare(const std::vector<std::string>& more) { return run(arguments(more)); }
  std::string text_;
};

TEST_F(Compare, PrintsVerdictsAndWritesResults) {
  const std::vector<std::string> tiny = {"--vary",    "unit=tanh,glu", "--tokens", "640",
                                         "--lr-grid", "0.003,0.01",    "--seeds",  "2"};
  const Outcome outcome = compare(tiny);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* part : {"unit=glu: layers [(", "after 640 tokens", "95% interval", "Holm",
                           "the search took 4 of the 8 runs", "results.json"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
  }
  const json results = json::parse(read_file(out() + "/results.json"));
  EXPECT_EQ(results["runs"].size(), 8U);
  EXPECT_TRUE(fs::exists(out() + "/runs.csv"));
  const std::string model = out() + "/runs/" + results["runs"][0]["run"].get<std::string>();
  EXPECT_EQ(run({"eval", model, text_}).status, 0);

  // All is there already: nothing is trained, and the same is found.
  const Outcome again = compare(tiny);
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(again.out.find("after 640 tokens"), std::string::npos);
  json same = json::parse(read_file(out() + "/results.json"));
  same["date"] = results["date"];
  EXPECT_EQ(same, results);
}

// Whoever may write to the directory does not send what a run writes elsewhere.
TEST_F(Compare, FollowsNoLinkInPlaceOfARun) {
  const std::vector<std::string> tiny = {"--vary", "unit=tanh,glu", "--tokens", "320",
                                         "--lr",   "0.01",          "--seeds",  "2"};
  ASSERT_EQ(compare(tiny).status, 0);
  const json results = json::parse(read_file(out() + "/results.json"));
  const fs::path taken = out() + "/runs/" + results["runs"][0]["run"].get<std::string>();
  fs::remove_all(taken);
  fs::create_directory(path("elsewhere"));
  fs::create_directory_symlink(path("elsewhere"), taken);
  EXPECT_TRUE(complains(compare(tiny), 1, "compare", "symbolic link"));
  EXPECT_TRUE(fs::is_empty(path("elsewhere")));
}

// Seed 1 chooses the rates, which go beyond those given; seeds 2 and 3 are compared.
TEST_F(Compare, PilotsChooseRates) {
  const Outcome outcome =
      compare({"--vary", "unit=tanh,glu", "--tokens", "640", "--lr-grid", "0.00001,0.0001",
               "--lr-pilots", "1", "--lr-refine", "1", "--seeds", "2"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("is the best and at the end of those tried; trying 0.0003"),
            std::string::npos)
      << outcome.out;
  const json results = json::parse(read_file(out() + "/results.json"));
  EXPECT_EQ(results["seeds"], json({2, 3}));
  for (const json& variant : results["variants"]) {
    EXPECT_FALSE(variant["lr_at_edge"]);
    EXPECT_EQ(variant["loss"]["values"].size(), 2U);
    EXPECT_EQ(variant["rates"][0]["loss"]["values"].size(), 1U);
  }
}

TEST_F(Compare, RefusesInOneSentence) {
  const auto refused = [&](const std::vector<std::string>& more, const std::string& part) {
    EXPECT_TRUE(complains(compare(more), 2, "compare", part));
    EXPECT_FALSE(fs::exists(out())) << part;
  };
  refused({"--tokens", "640"}, "at least two variants");
  refused({"--vary", "unti=tanh,glu", "--tokens", "640"}, "did you mean unit?");
  refused({"--vary", "unit=tanh,gul", "--tokens", "640"}, "glu");
  refused({"--vary", "unit=tanh,glu"}, "needs a budget");
  refused({"--vary", "unit=tanh,glu", "--budget", "5"}, "a time like 90s, 5m or 1.5h, got '5'");
  refused({"--vary", "unit=tanh,glu", "--tokens", "640", "--match", "flop"}, "flops");
  refused({"--vary", "unit=tanh,glu", "--tokens", "640", "--tie"}, "cannot be matched within 1%");
  refused({"--vary", "batch=4,32", "--steps", "10"}, "give it in tokens");
  refused({"--vary", "unit=tanh,glu", "--tokens", "640", "--lr-grid", "0.1,x"}, "--lr-grid");
  text_ = write("short.txt", sample_text(60));
  EXPECT_TRUE(complains(compare({"--vary", "unit=tanh,glu", "--tokens", "640"}), 1, "compare",
                        "too few to tell variants apart"));
  EXPECT_FALSE(fs::exists(out()));
}

TEST_F(Compare, AFullDiskKeepsTheRunsSoFar) {
  const auto request = [&](const std::string& units) {
    return arguments({"--valid", text_, "--vary", "unit=" + units, "--tokens", "640", "--seeds",
                      "1", "--lr-grid", "0.01", "--jobs", "1"});
  };
  ASSERT_EQ(run(request("tanh,glu")).status, 0);
  const std::string results = read_file(out() + "/results.json");
  EXPECT_TRUE(complains(run(request("tanh,glu,relu"), {.largest_file = 4000}), 1, "compare",
                        "checkpoint.safetensors"));
  EXPECT_EQ(read_file(out() + "/results.json"), results);
  const Outcome more = run(request("tanh,glu,relu"));
  EXPECT_EQ(more.status, 0);
  EXPECT_NE(more.out.find("unit=relu, lr 0.01, seed 1: validation loss"), std::string::npos);
  EXPECT_EQ(more.out.find("unit=glu, lr 0.01, seed 1: validation loss"), std::string::npos);
}

TEST_F(Compare, CtrlCSavesAndTheSameCommandContinues) {
  const std::vector<std::string> more = {
      "--vary", "unit=tanh,glu", "--tokens", "1000000000000", "--seeds",
      "1",      "--lr-grid",     "0.01",     "--jobs",        "1"};
  interrupt_first_run(arguments(more), out());
  EXPECT_FALSE(fs::exists(out() + "/results.json"));
}

}  // namespace
}  // namespace sluice::cli_test
