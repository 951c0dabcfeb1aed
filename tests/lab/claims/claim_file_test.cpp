// Claims as files: what is read, and what is refused and where.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "claim_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/lab/claims/claims.hpp"
#include "sluice/lab/claims/measures.hpp"

namespace sluice::lab_test {
namespace {

using nlohmann::json;

TEST(ClaimFile, IsRead) {
  const Claim claim = parse_claim(tiny_claim().dump(), "claims/mine.json");
  EXPECT_EQ(claim.name, "mine");
  EXPECT_EQ(claim.title, "GLU and tanh");
  EXPECT_EQ(claim.minutes, 0.1);
  EXPECT_FALSE(claim.quick);
  EXPECT_EQ(claim.tokenizer.write(), Value(Value::Object{{"kind", "word"}, {"min_count", 1}}));
  EXPECT_EQ(claim.validation, 1500);
  ASSERT_EQ(claim.comparisons.size(), 1U);
  const ClaimComparison& comparison = claim.comparison("main");
  EXPECT_EQ(comparison.seeds, 2);
  EXPECT_EQ(comparison.tokens(), 640);
  EXPECT_EQ(comparison.rates, (std::vector<double>{0.003, 0.01}));
  EXPECT_EQ(comparison.match, MatchBy::parameters);
  EXPECT_EQ(comparison.runs(), 8);
  EXPECT_EQ(claim.budget().text(), "8 runs of 640 tokens (20 steps)");
  ASSERT_EQ(claim.parts.size(), 2U);
  const ClaimPart& part = claim.parts[0];
  EXPECT_EQ(part.measure, "final_loss");
  EXPECT_EQ(part.effect, EffectKind::difference);
  EXPECT_EQ(part.expect, Expect::less);
  EXPECT_EQ(part.threshold, 0);
  EXPECT_EQ(part.a.of.comparison, "main");
  EXPECT_EQ(part.a.of.variant, (Value::Object{{"unit", "glu"}}));
  EXPECT_EQ(claim.parts[1].effect, EffectKind::ratio);
  EXPECT_EQ(claim.parts[1].threshold, 1);
}

TEST(ClaimFile, QuickFieldsTakeTheOthersPlaces) {
  const Claim claim = parse_claim(tiny_claim().dump(), "mine.json", true);
  EXPECT_TRUE(claim.quick);
  EXPECT_EQ(claim.comparisons[0].tokens(), 320);
  EXPECT_EQ(claim.comparisons[0].rates, (std::vector<double>{0.01}));
  EXPECT_EQ(claim.comparisons[0].training.values.validate_every, 5);
  EXPECT_EQ(claim.comparisons[0].training.values.batch, 4);
  EXPECT_EQ(claim.budget().text(), "4 runs of 320 tokens (10 steps)");
}

// The same design in whatever words, order and way to write a number; another one with whatever a
// run or a verdict hangs on.
TEST(ClaimFile, DesignsAreWhatVerdictsHangOn) {
  const auto design = [](const json& claim, bool quick = false) {
    return parse_claim(claim.dump(), "mine.json", quick).design;
  };
  const json tiny = tiny_claim();
  const std::string own = design(tiny);
  EXPECT_EQ(own.size(), 16U);
  json reworded = tiny;
  for (const char* field : {"title", "statement", "plain", "source", "limits"}) {
    reworded[field] = "in other words";
  }
  reworded["minutes"] = 77;
  reworded["quick"]["seeds"] = 7;
  reworded["parts"][1]["statement"] = "in other words";
  reworded["comparisons"]["main"]["seeds"] = 2.0;
  EXPECT_EQ(design(reworded), own);
  json without = tiny;
  without.erase("parts");
  EXPECT_EQ(parse_claim(R"({"parts": )" + tiny["parts"].dump() + "," + without.dump().substr(1),
                        "mine.json")
                .design,
            own);
  EXPECT_NE(design(tiny, true), own);

  for (const auto& [place, value] :
       std::vector<std::pair<const char*, json>>{{"/comparisons/main/seeds", 3},
                                                 {"/comparisons/main/tokens", 641},
                                                 {"/comparisons/main/rates", {0.01}},
                                                 {"/comparisons/main/pilots", 2},
                                                 {"/comparisons/main/model/dropout", 0.1},
                                                 {"/comparisons/main/vary/unit", {"glu", "tanh"}},
                                                 {"/text/validation", 1501},
                                                 {"/most_seeds", 41},
                                                 {"/parts/0/bound", 0.1},
                                                 {"/parts/0/statistic", "trimmed"},
                                                 {"/parts/1/measure", "final_loss"}}) {
    json other = tiny;
    other[json::json_pointer(place)] = value;
    EXPECT_NE(design(other), own) << place;
  }
}

TEST(ClaimFile, BudgetsCountASearchToItsEnd) {
  json text = tiny_claim();
  json& main = text["comparisons"]["main"];
  main["pilots"] = 3;
  // Two variants: two rates, one more on a side, two between; three pilots; two seeds.
  EXPECT_EQ(parse_claim(text.dump(), "mine.json").budget().text(),
            "at least 34 runs of 640 tokens (20 steps)");
  main["rates"] = {0.001, 0.003, 0.01, 0.03};
  main["refine"] = 0;
  EXPECT_EQ(parse_claim(text.dump(), "mine.json").budget().runs, 2 * (4 * 3 + 2));
  main["vary"] = {{"batch", {4, 8}}};
  text["parts"] = {{{"statement", "larger batches learn less"},
                    {"measure", "final_loss"},
                    {"a", {{"variant", {{"batch", 8}}}}},
                    {"b", {{"variant", {{"batch", 4}}}}},
                    {"expect", "greater"}}};
  const ClaimBudget budget = parse_claim(text.dump(), "mine.json").budget();
  EXPECT_EQ(budget.steps, (std::set<std::int64_t>{10, 20}));
  EXPECT_EQ(budget.text(), "at least 28 runs of 640 tokens (10 to 20 steps)");
}

TEST(ClaimFile, SelectionsOfSeveralVariants) {
  const std::vector<Variant> variants =
      all_variants({parse_variation("unit=tanh,glu,relu"), parse_variation("norm=none,weight")});
  const auto count = [&](const Value::Object& wanted) {
    return std::count_if(variants.begin(), variants.end(),
                         [&](const Variant& variant) { return selects(wanted, variant); });
  };
  EXPECT_EQ(count({}), 6);
  EXPECT_EQ(count({{"unit", "glu"}}), 2);
  EXPECT_EQ(count({{"unit", Value::List{"glu", "relu"}}, {"norm", "none"}}), 2);
  EXPECT_EQ(count({{"unit", "gelu"}}), 0);
  // A list may be the value itself.
  const std::vector<Variant> gates =
      all_variants({parse_variation(R"(removed_gates=[],["input"])")});
  EXPECT_TRUE(selects({{"removed_gates", Value::List{}}}, gates[0]));
  EXPECT_FALSE(selects({{"removed_gates", Value::List{}}}, gates[1]));
  EXPECT_TRUE(selects({{"removed_gates", Value::List{"input"}}}, gates[1]));
}

std::string refusal_of(const std::string& text, bool quick = false) {
  try {
    parse_claim(text, "mine.json", quick);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(ClaimFile, SyntaxErrorsNameLineAndColumn) {
  const auto refused = [](const std::string& text, const std::string& start) {
    const std::string said = refusal_of(text);
    EXPECT_EQ(said.substr(0, start.size()), start) << said;
    EXPECT_NE(said.find("syntax error"), std::string::npos) << said;
  };
  refused("{\n  \"title\": \"x\",\n  \"parts\": [1, 2\n}\n",
          "claim 'mine.json', line 4, column 1: ");
  refused("{\"title\" \"x\"}", "claim 'mine.json', line 1, column ");
  refused("", "claim 'mine.json', line 1, column 1: ");
  refused("{\"title\": \"x\"", "claim 'mine.json', line 1, column ");
}

TEST(ClaimFile, FaultsNameTheirPlace) {
  const auto refused = [](const std::function<void(json&)>& change, const std::string& place,
                          const std::string& part, bool quick = false) {
    json claim = tiny_claim();
    change(claim);
    const std::string said = refusal_of(claim.dump(), quick);
    const std::string start = "claim 'mine.json', " + place + ": ";
    EXPECT_EQ(said.substr(0, start.size()), start) << said;
    EXPECT_NE(said.find(part), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos);
  };
  refused([](json& c) { c = 3; }, "as a whole", "expected an object");
  refused([](json& c) { c.erase("title"); }, "/title", "missing");
  refused([](json& c) { c["titel"] = "x"; }, "/titel", "did you mean title");
  refused([](json& c) { c["statement"] = 3; }, "/statement", "expected text, got 3");
  refused([](json& c) { c["format_version"] = 2; }, "/format_version", "format 1");
  refused([](json& c) { c["minutes"] = "long"; }, "/minutes", "expected a number");
  refused([](json& c) { c["text"]["tokenizer"] = "words"; }, "/text/tokenizer",
          "did you mean word");
  refused([](json& c) { c["text"]["validation"] = 3; }, "/text/validation", "from 1000");
  refused([](json& c) { c["comparisons"] = json::object(); }, "/comparisons", "at least one");
  refused([](json& c) { c["comparisons"]["a/b"] = c["comparisons"]["main"]; }, "/comparisons/a~1b",
          "letters, digits, - and _");

  const auto main = [&](const std::function<void(json&)>& change, const std::string& place,
                        const std::string& part) {
    refused([&](json& c) { change(c["comparisons"]["main"]); }, "/comparisons/main" + place, part);
  };
  main([](json& m) { m.erase("tokens"); }, "/tokens", "missing");
  main([](json& m) { m["tokens"] = 0; }, "/tokens", "whole number from 1");
  main([](json& m) { m["seeds"] = 1.5; }, "/seeds", "whole number");
  main([](json& m) { m["rates"] = {0.1, -1}; }, "/rates/1", "above 0");
  main([](json& m) { m["rates"] = json::array(); }, "/rates", "at least one");
  main([](json& m) { m["match"] = "flop"; }, "/match", "flops");
  main([](json& m) { m["model"]["documents"] = "files"; }, "/model", "one document");
  main([](json& m) { m["vary"] = {{"unti", {"glu", "tanh"}}}; }, "/vary/unti", "did you mean unit");
  main([](json& m) { m["vary"]["unit"] = "glu"; }, "/vary/unit", "expected a list, got text");
  main([](json& m) { m["vary"]["unit"] = {"glu", "glu"}; }, "/vary/unit", "given twice");
  main([](json& m) { m["vary"]["unit"] = {"glu"}; }, "", "at least two variants");
  main([](json& m) { m["vary"]["unit"] = {"glu", "gul"}; }, "/vary/unit", "glu");
  main([](json& m) { m["model"]["layrs"] = 3; }, "/model", "layers");
  main([](json& m) { m["training"]["steps"] = 3; }, "/training/steps", "the budget is in 'tokens'");
  main([](json& m) { m["training"]["cilp"] = 3; }, "/training", "clip");

  const auto first = [&](const std::function<void(json&)>& change, const std::string& place,
                         const std::string& part) {
    refused([&](json& c) { change(c["parts"][0]); }, "/parts/0" + place, part);
  };
  first([](json& p) { p["measure"] = "final_los"; }, "/measure", "did you mean final_loss");
  first([](json& p) { p["expect"] = "lower"; }, "/expect", "unknown expectation");
  first([](json& p) { p["effect"] = "share"; }, "/effect", "difference or ratio");
  first([](json& p) { p["expect"] = "within"; }, "", "'within' needs a 'threshold'");
  first([](json& p) { p["at"] = 3; }, "/at", "has no parameter");
  first([](json& p) { p["a"].erase("variant"); }, "/a/variant", "missing");
  first([](json& p) { p["a"]["variant"] = {{"norm", "none"}}; }, "/a/variant/norm", "unit");
  first([](json& p) { p["a"]["variant"]["unit"] = "gtu"; }, "/a/variant", "no such variant");
  first([](json& p) { p["b"]["rate"] = 0.5; }, "/b/rate", "0.003, 0.01");
  first([](json& p) { p["b"]["rate"] = "high"; }, "/b/rate", "highest");
  first([](json& p) { p["b"]["comparison"] = "mian"; }, "/b/comparison", "did you mean main");
  first(
      [](json& p) {
        p["a"]["minus"] = {{"variant", {{"unit", "gtu"}}}};
      },
      "/a/minus/variant", "no such variant");
  first(
      [](json& p) {
        p["effect"] = "ratio";
        p["a"]["minus"] = {{"variant", {{"unit", "tanh"}}}};
      },
      "/effect", "neither less another");
  refused([](json& c) { c["parts"][1].erase("b"); }, "/parts/1", "'b' is missing");
  refused([](json& c) { c["parts"][1]["a"]["variant"] = json::object(); }, "/parts/1/a/variant",
          "a single variant");
  refused([](json& c) { c["parts"][1]["threshold"] = 0; }, "/parts/1/threshold", "above 0");

  // Of what only --quick reads, only then.
  const auto broken = [](json& c) { c["quick"]["seeds"] = "two"; };
  refused(broken, "/comparisons/main/seeds", "expected a number", true);
  json claim = tiny_claim();
  broken(claim);
  EXPECT_EQ(refusal_of(claim.dump()), "accepted");
  refused([](json& c) { c.erase("quick"); }, "/quick", "missing", true);
  refused([](json& c) { c["quick"]["token"] = 3; }, "/quick/token", "did you mean tokens", true);
  refused(
      [](json& c) {
        c["quick"]["training"] = {{"lr", 5}};
      },
      "/quick/training/lr", "the budget is in 'tokens'", true);
}

TEST(ClaimFile, WhatDecisionsNeedIsChecked) {
  const auto refused = [](const std::function<void(json&)>& change) {
    json claim = tiny_claim();
    change(claim);
    return refusal_of(claim.dump());
  };
  const auto has = [](const std::string& said, const std::string& part) {
    EXPECT_NE(said.find(part), std::string::npos) << said;
  };
  has(refused([](json& c) { c["most_seeds"] = 0; }), "/most_seeds: expected a whole number from 1");
  has(refused([](json& c) { c["comparisons"]["main"]["pilots"] = 101; }), "/pilots: expected");
  has(refused([](json& c) { c["comparisons"]["main"]["refine"] = -1; }), "/refine: expected");
  has(refused([](json& c) { c["parts"][0]["statistic"] = "mode"; }), "/parts/0/statistic");
  has(refused([](json& c) {
        c["parts"][0]["measure"] = "diverged";
        c["parts"][0]["statistic"] = "median";
      }),
      "shares have intervals of their own");
  has(refused([](json& c) { c["parts"][0]["bound"] = 0; }), "/bound: expected a number above 0");
  has(refused([](json& c) { c["parts"][1]["bound"] = 1; }), "/bound: expected a number above 1");
  has(refused([](json& c) {
        c["parts"][0]["bound"] = 0.1;
        c["parts"][0]["threshold"] = 0.2;
      }),
      "/bound: only for two sides");
  has(refused([](json& c) {
        c["parts"][0]["bound"] = 0.1;
        c["parts"][0]["expect"] = "within";
        c["parts"][0]["threshold"] = 0.2;
      }),
      "'within' has its bound in 'threshold'");
  has(refused([](json& c) {
        c["comparisons"]["main"]["pilots"] = 2;
        c["parts"][0]["a"]["rate"] = 0.01;
      }),
      "/parts/0/a/rate: with 'pilots' only the chosen rate has all seeds");
  has(refused([](json& c) { c["text"]["task"] = {{"name", "sums"}}; }), "/text/task/name");
  has(refused([](json& c) {
        c["text"]["task"] = {{"name", "copy"}, {"length", 1}};
      }),
      "/text/task: length of the task 'copy'");

  json claim = tiny_claim();
  claim["most_seeds"] = 12;
  claim["limits"] = "little";
  claim["plain"] = "in short";
  claim["comparisons"]["main"]["pilots"] = 2;
  claim["parts"][0]["statistic"] = "trimmed";
  claim["parts"][0]["bound"] = 0.02;
  claim["text"]["task"] = {{"name", "xml"}, {"lines", 50}, {"seed", 7}};
  const Claim read = parse_claim(claim.dump(), "mine.json");
  EXPECT_EQ(read.most_seeds, 12);
  EXPECT_EQ(read.limits, "little");
  EXPECT_EQ(read.plain, "in short");
  EXPECT_EQ(read.comparisons[0].search.pilots, 2);
  EXPECT_EQ(read.comparisons[0].search.refine, 2);
  EXPECT_EQ(read.parts[0].statistic, Statistic::trimmed);
  EXPECT_EQ(read.parts[0].bound, 0.02);
  EXPECT_EQ(read.task->task, Task::xml);
  EXPECT_EQ(read.task->lines, 50);
  EXPECT_EQ(read.task->seed, 7U);
  EXPECT_EQ(parse_claim(claim.dump(), "mine.json", true).comparisons[0].search.pilots, 0);
}

TEST(ClaimFile, MeasuresHaveTheirRange) {
  const auto with = [](const char* measure, const json& at) {
    json claim = tiny_claim();
    claim["parts"][0]["measure"] = measure;
    claim["parts"][0]["at"] = at;
    return refusal_of(claim.dump());
  };
  EXPECT_EQ(with("lag_gradient", 128), "accepted");
  EXPECT_EQ(with("context_gain", 1), "accepted");
  for (const json& at : {json(129), json(-1), json(64.5), json(1e300)}) {
    EXPECT_NE(with("lag_gradient", at).find("/parts/0/at: expected a whole number from 0 to 128"),
              std::string::npos)
        << at;
  }
  EXPECT_NE(with("context_gain", 0).find("from 1 to 128"), std::string::npos);
}

TEST(ClaimFile, ValuesKeepTheirCommas) {
  json claim = tiny_claim();
  claim["comparisons"]["main"]["vary"] = {{"layers", {"[(8,2)]*2", "[(8,2), (8,2), (8,2)]"}}};
  claim["parts"] = {claim["parts"][0]};
  claim["parts"][0]["a"]["variant"] = {{"layers", "[(8,2), (8,2), (8,2)]"}};
  claim["parts"][0]["b"]["variant"] = {{"layers", "[(8,2)]*2"}};
  EXPECT_EQ(refusal_of(claim.dump()), "accepted");
  claim["comparisons"]["main"]["vary"] = {{"unit", {"glu,gtu", "tanh"}}};
  EXPECT_NE(refusal_of(claim.dump()), "accepted");
}

TEST(ClaimFile, DeepNestingIsRefused) {
  const std::string deep =
      "{\"title\": " + std::string(300000, '[') + std::string(300000, ']') + "}";
  EXPECT_EQ(refusal_of(deep), "claim 'mine.json': nested deeper than 64 levels");
}

// Results of a claim go into a directory of its name.
TEST(ClaimFile, NamesOfOtherDirectoriesAreRefused) {
  const std::string text = tiny_claim().dump();
  for (const char* file : {"...json", "runs.json", "cache.json", "measured.json", "report.json",
                           "a b.json", ".json"}) {
    EXPECT_THROW(parse_claim(text, file, false), UsageError) << file;
  }
  EXPECT_NO_THROW(parse_claim(text, "some/where/mine-2.json", false));
}

TEST(ClaimFile, SidesOfDifferentSeedsAreRefused) {
  json claim = tiny_claim();
  claim["comparisons"]["other"] = claim["comparisons"]["main"];
  EXPECT_NE(refusal_of(claim.dump()).find("/parts/0/a/comparison: missing"), std::string::npos);
  for (json& part : claim["parts"]) {
    part["a"]["comparison"] = "main";
    part["b"]["comparison"] = "other";
  }
  EXPECT_EQ(refusal_of(claim.dump()), "accepted");
  claim["comparisons"]["other"]["seeds"] = 3;
  EXPECT_NE(refusal_of(claim.dump()).find("different numbers of seeds"), std::string::npos);
}

TEST(ClaimFile, UnknownNamesListTheNearest) {
  try {
    find_claim("gates-hlep");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean gates-help"), std::string::npos)
        << error.what();
  }
  EXPECT_THROW(find_claim("./missing.json"), Error);
}

// Two sides that have learnt nothing of a task are equal, which says nothing: so that one has
// learnt it comes first.
TEST(ShippedClaims, OnTasksBeginWithWhatIsAboveGuessing) {
  int tasks = 0;
  for (const auto& [name, text] : shipped_claims()) {
    const Claim claim = parse_claim(text, name);
    if (!claim.task) continue;
    ++tasks;
    const ClaimPart& first = claim.parts.front();
    EXPECT_EQ(first.measure, "above_guessing") << name;
    EXPECT_EQ(first.expect, Expect::greater) << name;
    EXPECT_GE(first.threshold, 0.1) << name;
    EXPECT_FALSE(first.b) << name;
    EXPECT_FALSE(first.bound) << name;
  }
  EXPECT_GE(tasks, 8);
}

// What no part reads is not trained; but for the narrow ReLU of glu-doubled-width's widths, which
// is that of its units, trained once for both.
TEST(ShippedClaims, ReadEveryVariantThatTheyTrain) {
  for (const auto& [name, text] : shipped_claims()) {
    const Claim claim = parse_claim(text, name);
    for (const ClaimComparison& comparison : claim.comparisons) {
      for (const Variant& variant : all_variants(comparison.vary)) {
        const bool read =
            std::any_of(claim.parts.begin(), claim.parts.end(), [&](const ClaimPart& part) {
              const auto selections = selections_of(part);
              return std::any_of(selections.begin(), selections.end(), [&](const auto* selection) {
                return selection->comparison == comparison.name &&
                       selects(selection->variant, variant);
              });
            });
        if (name == "glu-doubled-width" && comparison.name == "widths") continue;
        EXPECT_TRUE(read) << name << ", " << comparison.name << ": " << variant.name;
      }
    }
  }
}

TEST(Measures, AreNamedOnceAndDescribed) {
  std::vector<std::string> names;
  for (const Measure& measure : measures()) {
    EXPECT_EQ(std::count(names.begin(), names.end(), measure.name), 0) << measure.name;
    names.push_back(measure.name);
    EXPECT_FALSE(measure.unit.empty());
    EXPECT_FALSE(measure.description.empty());
    EXPECT_NE(measure.of_run == nullptr, measure.of_pair == nullptr) << measure.name;
  }
}

TEST(Measures, TokensToTheLossThatBothReach) {
  const Curve fast = {{10, 3}, {20, 2}, {30, 1}};
  const Curve slow = {{10, 4}, {20, 3}, {30, 1.5}};
  const auto [a, b] = tokens_to_shared_loss(fast, slow);
  EXPECT_DOUBLE_EQ(a, 25);
  EXPECT_DOUBLE_EQ(b, 30);
  const auto [c, d] = tokens_to_shared_loss(slow, fast);
  EXPECT_DOUBLE_EQ(c, 30);
  EXPECT_DOUBLE_EQ(d, 25);
  // Reached from the first point on; and a curve that rises again.
  EXPECT_DOUBLE_EQ(tokens_to_shared_loss({{10, 1}, {20, 0.5}}, {{10, 4}, {20, 3}}).first, 10);
  EXPECT_DOUBLE_EQ(tokens_to_shared_loss({{10, 3}, {20, 1}, {30, 2}}, {{10, 3}, {30, 1}}).first,
                   15);
}

TEST(Measures, LossesAtTheTimeThatBothReach) {
  const Curve quick = {{1, 3}, {2, 2}, {3, 1}};
  const Curve slow = {{2, 4}, {4, 2}};
  const auto [a, b] = losses_at_shared_time(quick, slow);
  EXPECT_DOUBLE_EQ(a, 1);
  EXPECT_DOUBLE_EQ(b, 3);
}

}  // namespace
}  // namespace sluice::lab_test
