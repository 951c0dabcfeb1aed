// Claims that are planned, searched for rates, given seeds until they are decided, and summed up.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "claims_fixture.hpp"
#include "sluice/base/error.hpp"
#include "sluice/lab/claims/claim_plan.hpp"

namespace sluice::lab_test {
namespace {

// Seeds are added to what parts that are open read, and to nothing else.
TEST_F(Claims, SeedsAreAddedUntilTheyAreDecided) {
  json text = tiny_claim();
  text["most_seeds"] = 5;
  json& main = text["comparisons"]["main"];
  main["rates"] = {0.01};
  json other = main;
  other["vary"]["unit"] = {"relu", "glu"};
  text["comparisons"]["other"] = other;
  // Nothing is below itself and some; the other part is clear at once.
  text["parts"] = {{{"statement", "open"},
                    {"measure", "final_loss"},
                    {"a", {{"comparison", "main"}, {"variant", {{"unit", "glu"}}}}},
                    {"b", {{"comparison", "main"}, {"variant", {{"unit", "glu"}}}}},
                    {"expect", "less"}},
                   {{"statement", "clear"},
                    {"measure", "final_loss"},
                    {"a", {{"comparison", "other"}, {"variant", {{"unit", "glu"}}}}},
                    {"expect", "greater"},
                    {"threshold", -1e9}}};
  ClaimRequest request = this->request();
  request.until_decided = true;
  ClaimCounter counter;
  const auto result = run_claim(claim(text), request, counter.callbacks());
  ASSERT_TRUE(result);
  EXPECT_EQ(result->verdict, ClaimVerdict::inconclusive);
  EXPECT_EQ(result->parts[0].looks, (std::vector<std::int64_t>{2, 3, 5}));
  EXPECT_EQ(result->parts[0].looked, 3);
  EXPECT_EQ(result->parts[0].n, 5);
  EXPECT_EQ(result->parts[0].p, 1);
  EXPECT_EQ(result->parts[1].verdict, ClaimVerdict::holds);
  EXPECT_EQ(result->parts[1].n, 2);
  EXPECT_EQ(result->parts[1].looked, 1);
  EXPECT_NEAR(result->parts[1].confidence, 1 - 0.05 * 2 / 5, 1e-12);
  // GLU with five seeds, tanh and ReLU with two; GLU's first two are shared.
  EXPECT_EQ(counter.trained, 9);
  EXPECT_EQ(result->runs, 11);
  EXPECT_NE(format_claim(*result).find("at look 3 of 3"), std::string::npos);
  const json written = as_json(*result);
  EXPECT_EQ(written["parts"][0]["looks"], json({2, 3, 5}));

  // With a bound the same is decided.
  text["parts"][0]["bound"] = 0.1;
  const auto equal = run_claim(claim(text), request);
  EXPECT_EQ(equal->verdict, ClaimVerdict::equal);
  EXPECT_EQ(equal->parts[0].n, 2);
  EXPECT_LT(equal->p, 0.05);

  // A budget that is spent ends it at the first look.
  text["parts"][0].erase("bound");
  request.minutes = 1e-9;
  EXPECT_EQ(run_claim(claim(text), request)->parts[0].n, 2);

  // Seeds that choose a rate are not to be added to.
  text["comparisons"]["main"]["rates"] = {0.01, 0.003};
  EXPECT_THROW(run_claim(claim(text), request), UsageError);
}

/// An open part about tanh and GLU, which are as good as themselves, and a clear one about ReLU, of
/// one comparison.
json open_and_clear() {
  json text = tiny_claim();
  text["most_seeds"] = 5;
  text["comparisons"]["main"]["vary"]["unit"] = {"tanh", "glu", "relu"};
  const json both = {{"variant", {{"unit", {"tanh", "glu"}}}}};
  text["parts"] = {{{"statement", "open"},
                    {"measure", "final_loss"},
                    {"a", both},
                    {"b", both},
                    {"expect", "less"}},
                   {{"statement", "clear"},
                    {"measure", "final_loss"},
                    {"a", {{"variant", {{"unit", "relu"}}}}},
                    {"expect", "greater"},
                    {"threshold", -1e9}}};
  return text;
}

// Of one comparison, too: only variants that an open part reads get seeds, and only the rates that
// it names. What was interrupted goes on, and what is kept gives the same verdict.
TEST_F(Claims, SeedsAreOfTheVariantsThatOpenPartsRead) {
  json text = open_and_clear();
  for (const char* side : {"a", "b"}) text["parts"][0][side]["rate"] = "lowest";
  text["parts"][1]["a"]["rate"] = "highest";
  ClaimRequest request = this->request();
  request.until_decided = true;
  // 3 variants, 2 rates and 2 seeds; then tanh and GLU, lowest rate, three more.
  constexpr int first = 12, all = 18;
  std::atomic<int> stop{0};
  ClaimCounter counter;
  ClaimCallbacks callbacks = counter.callbacks();
  callbacks.compare.trained = [&](const CompareRun&) {
    if (++counter.trained == first + 3) stop = 2;
  };
  EXPECT_FALSE(run_claim(claim(text), request, callbacks, &stop));
  EXPECT_EQ(counter.trained, first + 3);
  stop = 0;
  const auto result = run_claim(claim(text), request, callbacks, &stop);
  ASSERT_TRUE(result);
  EXPECT_EQ(counter.trained, all);
  EXPECT_EQ(result->runs, all);
  EXPECT_EQ(result->search_runs, 0);
  EXPECT_EQ(result->parts[0].n, 5);
  EXPECT_EQ(result->parts[0].values_a.size(), 5U);
  EXPECT_EQ(result->parts[0].looked, 3);
  EXPECT_EQ(result->parts[1].verdict, ClaimVerdict::holds);
  EXPECT_EQ(result->parts[1].n, 2);

  const Results results = parse_results(read_file(out() / "tiny" / "results.json"), "results");
  EXPECT_EQ(results.seeds, (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
  for (const VariantResult& variant : results.variants) {
    const bool open = variant.name != "unit=relu";
    EXPECT_EQ(std::count_if(results.runs.begin(), results.runs.end(),
                            [&](const RunResult& run) {
                              return run.variant == variant.name && run.lr == 0.003;
                            }),
              open ? 5 : 2);
    EXPECT_EQ(variant.loss.values.size(), open && variant.lr == 0.003 ? 5U : 2U);
    EXPECT_EQ(variant.search.runs, 2);
  }

  const auto again = run_claim(claim(text), request, callbacks);
  EXPECT_EQ(counter.trained, all);
  json before = as_json(*result), after = as_json(*again);
  for (json* each : {&before, &after}) each->erase("seconds");
  EXPECT_EQ(after, before);
}

TEST_F(Claims, SeedsOfSearchedVariants) {
  json text = open_and_clear();
  text["comparisons"]["main"]["pilots"] = 1;
  text["comparisons"]["main"]["refine"] = 0;
  ClaimRequest request = this->request();
  request.until_decided = true;
  const ClaimPlan plan = plan_claim(claim(text), request, PlanTiming::known);
  // All three may be asked for more.
  EXPECT_GT(plan.most_seconds, plan.seconds);
  const auto result = run_claim(claim(text), request);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->runs - result->search_runs, 5 + 5 + 2);
  EXPECT_EQ(result->parts[0].n, 5);
  EXPECT_EQ(result->parts[1].n, 2);
  const Results results = parse_results(read_file(out() / "tiny" / "results.json"), "results");
  EXPECT_EQ(results.variants[2].loss.values.size(), 2U);
  EXPECT_EQ(results.shared_seeds(results.pairs[0]), 5U);
  EXPECT_EQ(results.pairs[0].n, 5);
  EXPECT_EQ(results.pairs[1].n, 2);
}

// Runs that were there cost nothing of a budget, whatever they took when they were trained.
TEST_F(Claims, BudgetsAreOfWhatIsSpentNow) {
  json text = tiny_claim();
  text["most_seeds"] = 3;
  text["comparisons"]["main"]["rates"] = {0.01};
  text["parts"] = {text["parts"][0]};
  // Nothing is below itself.
  text["parts"][0]["b"] = text["parts"][0]["a"];
  ClaimRequest request = this->request();
  run_claim(claim(text), request);
  constexpr double hour = 3600;
  for (const auto& run : fs::directory_iterator(out() / "runs")) {
    json record = json::parse(read_file(run.path() / "run.json"));
    record["result"]["seconds"] = hour;
    write_file(run.path() / "run.json", record.dump());
  }
  request.until_decided = true;
  request.minutes = 60;
  const auto result = run_claim(claim(text), request);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->parts[0].n, 3);
  // They are part of what the claim takes.
  EXPECT_GT(result->seconds, 4 * hour);
}

// A part that some run has no value for is never told: no seeds are spent on it.
TEST_F(Claims, NoSeedsForWhatTheyCannotDecide) {
  json text = tiny_claim();
  text["most_seeds"] = 5;
  json& main = text["comparisons"]["main"];
  main["vary"] = {{"optimizer", {"adamw", "sgd"}}};
  main["training"]["clip"] = 0;
  main["training"]["momentum"] = 0;
  main["rates"] = {1e30};
  const auto side = [](const char* optimizer) {
    return json{{"variant", {{"optimizer", optimizer}}}, {"rate", "highest"}};
  };
  text["parts"] = {{{"statement", "one of them diverged"},
                    {"measure", "tokens_to_loss"},
                    {"a", side("sgd")},
                    {"b", side("adamw")},
                    {"expect", "less"}}};
  ClaimRequest request = this->request();
  request.until_decided = true;
  ClaimCounter counter;
  const auto result = run_claim(claim(text), request, counter.callbacks());
  ASSERT_TRUE(result);
  EXPECT_EQ(result->verdict, ClaimVerdict::inconclusive);
  EXPECT_EQ(result->parts[0].n, 0);
  EXPECT_EQ(result->parts[0].looked, 1);
  EXPECT_EQ(counter.trained, 4);
}

TEST_F(Claims, RatesAreSearchedForByPilots) {
  json text = tiny_claim();
  json& main = text["comparisons"]["main"];
  main["rates"] = {0.0001, 0.0003};
  main["pilots"] = 1;
  main["refine"] = 1;
  ClaimRequest request = this->request();
  const Claim searching = claim(text);
  EXPECT_EQ(searching.comparisons[0].first_runs(), 4);
  EXPECT_EQ(searching.comparisons[0].runs(), 2 * (4 + 2));
  EXPECT_EQ(claim(text, true).comparisons[0].search.pilots, 0);

  // What it will take, before and after.
  const ClaimPlan before = plan_claim(searching, request, PlanTiming::measured);
  // Both grids of two rates grow by one at least, and each gets one between.
  EXPECT_EQ(before.runs, 2 * (4 + 2));
  EXPECT_NE(format_plan(before, false).find("tiny: at least 12 runs; "), std::string::npos);
  EXPECT_NE(format_plans({before}, false).find("1 claim, at least 12 runs: "), std::string::npos);
  EXPECT_EQ(before.done, 0);
  EXPECT_GT(before.seconds, 0);
  EXPECT_GT(before.most_seconds, before.seconds);
  EXPECT_EQ(before.parts[0].pilot, 0);
  EXPECT_FALSE(fs::exists(out() / "runs"));
  EXPECT_NE(format_plan(before, true).find("if it takes 40"), std::string::npos);

  const auto result = run_claim(searching, request);
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->parts[0].rates_a.at_edge);
  EXPECT_EQ(result->search_runs, result->runs - 4);
  EXPECT_NE(result->budget.find("of them to choose learning rates"), std::string::npos);
  EXPECT_GT(result->search_seconds, 0);

  const ClaimPlan after = plan_claim(searching, request, PlanTiming::known);
  EXPECT_EQ(after.done, result->runs);
  EXPECT_EQ(after.runs, result->runs);
  EXPECT_GE(after.runs, before.runs);
  EXPECT_FALSE(after.at_least);
  EXPECT_EQ(after.seconds, 0);
  EXPECT_EQ(after.parts[0].pilot, 2);
  EXPECT_NE(format_plan(after, true).find("from 2 seeds"), std::string::npos);

  text["parts"][0]["a"]["rate"] = "highest";
  EXPECT_THROW(claim(text), UsageError);
}

// On a task of its own: what is read block by block is what the validation measured, and a model
// that is asked for answers has some right.
TEST_F(Claims, TasksAndBlocksOfTheirText) {
  json text = tiny_claim();
  text["text"] = {{"tokenizer", "char"},
                  {"validation", 4000},
                  {"task", {{"name", "brackets"}, {"lines", 4000}, {"length", 6}}}};
  json& main = text["comparisons"]["main"];
  main["rates"] = {0.02};
  main["tokens"] = 20000;
  main["match"] = "width";
  main["model"]["dropout"] = 0;
  // A line of metrics.jsonl for all 600 steps: it says how many of them were clipped.
  main["training"]["log_every"] = 600;
  main["training"]["clip"] = 0.5;
  text["parts"] = {single("final_loss"),      single("accuracy"),
                   single("answer_accuracy"), single("batch_statistics_loss"),
                   single("train_gap"),       single("clipped_share")};
  text["parts"][0]["b"] = {{"variant", {{"unit", "tanh"}}}};
  ClaimRequest request = this->request();
  request.data.clear();
  const auto result = run_claim(claim(text), request);
  ASSERT_TRUE(result);
  const auto& parts = result->parts;
  EXPECT_EQ(parts[0].text_blocks, 40);
  EXPECT_LT(parts[0].text_low, parts[0].text_high);
  EXPECT_GT(parts[0].text_high, parts[0].effect - 0.02);
  EXPECT_LT(parts[0].text_low, parts[0].effect + 0.02);
  // A loss of the whole text, though read in pieces.
  EXPECT_NEAR(parts[3].values_a[0], parts[0].values_a[0], 0.05);
  EXPECT_GT(parts[1].values_a[0], 0.2);
  EXPECT_GT(parts[2].values_a[0], 0.2);
  EXPECT_NE(parts[1].values_a[0], parts[2].values_a[0]);
  EXPECT_LT(parts[2].values_a[0], 1);
  for (const double share : parts[5].values_a) EXPECT_TRUE(share > 0 && share < 1) << share;
  EXPECT_NE(format_claim(*result).find("over 40 blocks of the text"), std::string::npos);
  EXPECT_TRUE(fs::exists(out() / "cache" / "brackets-6-4000-1.txt"));
}

TEST_F(Claims, VerdictsAreCorrectedForTheirNumber) {
  ClaimResults results;
  for (const double p : {0.001, 0.03, 1.0}) {
    ClaimResult claim;
    claim.p = p;
    claim.verdict = p < 1 ? ClaimVerdict::holds : ClaimVerdict::inconclusive;
    results.claims.push_back(claim);
  }
  EXPECT_EQ(corrected_p(results), (std::vector<double>{0.003, 0.06, 1.0}));
  EXPECT_NE(format_summary(results).find("2 of 3 claims decided; 1 of these verdicts stand"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice::lab_test
