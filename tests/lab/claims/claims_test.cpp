// Claims from file to verdict.

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "claims_fixture.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/inference/evaluate.hpp"
#include "sluice/lab/claims/measures.hpp"
#include "sluice/lab/inspect/inspection.hpp"

namespace sluice::lab_test {
namespace {

TEST_F(Claims, AreRunAndJudged) {
  ClaimCounter counter;
  const auto result = run_claim(claim(tiny_claim()), request(), counter.callbacks());
  ASSERT_TRUE(result);
  const json element = as_json(*result);
  EXPECT_EQ(counter.trained, 8);
  EXPECT_EQ(counter.planned, 1);
  EXPECT_EQ(element["name"], "tiny");
  EXPECT_EQ(element["directories"], json({"tiny"}));
  EXPECT_GT(element["seconds"].get<double>(), 0);
  EXPECT_EQ(element["budget"], "8 runs of 640 tokens (20 steps)");
  EXPECT_EQ(element["design"], claim(tiny_claim()).design);

  // The parts say what the comparison found.
  const json results = json::parse(read_file(out() / "tiny" / "results.json"));
  const json& tanh = results["variants"][0]["loss"]["values"];
  const json& glu = results["variants"][1]["loss"]["values"];
  const json& part = element["parts"][0];
  EXPECT_EQ(part["values_a"], glu);
  EXPECT_EQ(part["values_b"], tanh);
  const std::vector<double> a = glu;
  const std::vector<double> b = tanh;
  const PairedTest test = paired_t_test(a, b);
  EXPECT_NEAR(part["effect"].get<double>(), test.difference, 1e-12);
  EXPECT_NEAR(part["low"].get<double>(), test.interval.low, 1e-12);
  EXPECT_NEAR(part["high"].get<double>(), test.interval.high, 1e-12);
  EXPECT_EQ(part["n"], 2);
  EXPECT_EQ(part["unit"], "nats per token");
  EXPECT_EQ(part["side_a"], "unit=glu");
  EXPECT_TRUE(fs::exists(out() / "tiny" / "runs.csv"));
  const std::string words = format_claim(*result);
  EXPECT_NE(words.find("GLU's final loss is below tanh's: "), std::string::npos) << words;
  EXPECT_NE(words.find("2 seeds"), std::string::npos) << words;

  // All is there already.
  ClaimCounter again;
  json same = as_json(*run_claim(claim(tiny_claim()), request(), again.callbacks()));
  EXPECT_EQ(again.trained, 0);
  same["seconds"] = element["seconds"];
  EXPECT_EQ(same, element);
}

TEST_F(Claims, ShareRunsAndRedoDamagedOnes) {
  ClaimCounter first;
  run_claim(claim(tiny_claim()), request(), first.callbacks());
  json other = tiny_claim();
  other["comparisons"]["main"]["vary"]["unit"] = {"tanh", "glu", "relu"};
  ClaimCounter second;
  run_claim(parse_claim(other.dump(), "other.json"), request(), second.callbacks());
  EXPECT_EQ(second.trained, 4);

  const fs::path run = fs::directory_iterator(out() / "runs")->path();
  std::ofstream(run / "model.safetensors", std::ios::app) << "x";
  ClaimCounter third;
  run_claim(parse_claim(other.dump(), "other.json"), request(), third.callbacks());
  EXPECT_EQ(third.trained, 1);
  ASSERT_EQ(third.notes.size(), 1U);
  EXPECT_NE(third.notes[0].find("is not what the run wrote"), std::string::npos);
}

TEST_F(Claims, InterruptedOnesContinue) {
  std::atomic<int> stop{0};
  ClaimCounter before;
  ClaimCallbacks callbacks = before.callbacks();
  int steps = 0;
  callbacks.compare.stepped = [&](const CompareProgress&) {
    if (++steps == 50) stop = 2;
  };
  EXPECT_FALSE(run_claim(claim(tiny_claim()), request(), callbacks, &stop));
  EXPECT_EQ(before.trained, 2);
  ClaimCounter after;
  const auto result = run_claim(claim(tiny_claim()), request(), after.callbacks());
  ASSERT_TRUE(result);
  const json element = as_json(*result);
  EXPECT_EQ(after.trained, 6);

  fs::create_directories(directory_ / "b");
  ClaimRequest elsewhere = request();
  elsewhere.out = directory_ / "b";
  const json whole = as_json(*run_claim(claim(tiny_claim()), elsewhere));
  EXPECT_EQ(element["parts"][0], whole["parts"][0]);
}

TEST_F(Claims, InterruptedWhileMeasuringTheyContinue) {
  json text = tiny_claim();
  text["parts"] = {with_at("lag_gradient", 4)};
  std::atomic<int> stop{0};
  ClaimCallbacks callbacks;
  callbacks.measuring = [&](double, const std::string&) { stop = 2; };
  EXPECT_FALSE(run_claim(claim(text), request(), callbacks, &stop));
  EXPECT_FALSE(fs::exists(out() / "measured"));
  ClaimCounter again;
  EXPECT_TRUE(run_claim(claim(text), request(), again.callbacks()));
  EXPECT_EQ(again.trained, 0);
}

TEST_F(Claims, OneSeedIsInconclusive) {
  ClaimRequest one = request();
  one.seeds = 1;
  const auto result = run_claim(claim(tiny_claim(), true), one);
  ASSERT_TRUE(result);
  const json element = as_json(*result);
  EXPECT_EQ(element["verdict"], "inconclusive");
  EXPECT_TRUE(element["parts"][0]["low"].is_null());
  EXPECT_FALSE(element["parts"][0]["effect"].is_null());
  EXPECT_NE(format_claim(*result).find("one seed"), std::string::npos);
}

// Every measure can be taken, of models of either kind.
TEST_F(Claims, AllMeasuresAreTaken) {
  json text = tiny_claim();
  text["comparisons"]["main"]["rates"] = {0.01};
  text["comparisons"]["main"]["vary"]["unit"] = {"gtu", "glu"};
  text["parts"] = json::array();
  for (const Measure& measure : measures()) {
    json part = single(measure.name);
    part["b"] = {{"variant", {{"unit", "gtu"}}}};
    text["parts"].push_back(part);
    // And less that of another.
    if (measure.of_pair || measure.effect == EffectKind::share) continue;
    part["a"]["minus"] = part["b"];
    part.erase("b");
    text["parts"].push_back(part);
  }
  const auto result = run_claim(claim(text), request());
  ASSERT_TRUE(result);
  const json element = as_json(*result);
  for (const json& part : element["parts"]) {
    EXPECT_EQ(part["values_a"].size(), 2U);
    for (const json& value : part["values_a"]) {
      // The text asks for no answers.
      const bool of_answers =
          part["measure"] == "answer_accuracy" || part["measure"] == "above_guessing";
      EXPECT_EQ(value.is_number(), !of_answers) << part["measure"];
    }
  }
  // What was measured on models is kept.
  ClaimCounter again;
  json same = as_json(*run_claim(claim(text), request(), again.callbacks()));
  EXPECT_EQ(same["parts"], element["parts"]);
}

// Measures read the right numbers of a known inspection. Values of another run, and damaged ones,
// are measured again.
TEST_F(Claims, MeasuresReadInspections) {
  json context = {{"tokens", json::array()},
                  {"loss", json::array()},
                  {"perplexity", json::array()},
                  {"positions", 256}};
  for (int i = 0; i <= 7; ++i) {
    context["tokens"].push_back(1 << i);
    context["loss"].push_back(8 - i);
    context["perplexity"].push_back(std::exp(8 - i));
  }
  json norms = json::array();
  for (int lag = 0; lag <= 128; ++lag) norms.push_back(lag == 1 ? 2.0 : 32.0 / (lag + 1e-9));
  json lags = json::array();
  for (int lag = 0; lag <= 128; ++lag) lags.push_back(lag);
  const auto layer = [](double dead, double saturated, const json& gradient) {
    return json{{"name", "layers.0"},
                {"unit", "glu"},
                {"gate",
                 {{"of", "sigmoid(b)"},
                  {"mean", 0.5},
                  {"saturated_share", saturated},
                  {"histogram", std::vector<double>(gate_bins, 0.05)}}},
                {"activation", {{"mean", 0}, {"variance", 1}}},
                {"dead_share", dead},
                {"gradient", gradient}};
  };
  const json layers = {layer(0.25, 0.1,
                             {{"norm", 3},
                              {"linear_gain", 0.5},
                              {"gate_gain", 0.1},
                              {"linear_share", 0.8},
                              {"gate_share", 0.2}}),
                       layer(0.75, 0.3,
                             {{"norm", 6},
                              {"linear_gain", 2},
                              {"gate_gain", 0.4},
                              {"linear_share", 0.6},
                              {"gate_share", 0.4}})};
  const json values = {
      {"inspection of 8192 tokens, layers", layers},
      {"inspection of 8192 tokens, lags", {{"k", lags}, {"norm", norms}, {"positions", 64}}},
      {"inspection of 8192 tokens, context", context}};
  json text = tiny_claim();
  text["parts"] = {single("final_loss")};
  run_claim(claim(text), request());
  fs::create_directories(out() / "measured");
  for (const auto& run : fs::directory_iterator(out() / "runs")) {
    const std::string all = read_file(run.path() / "run.json") + values.dump();
    const json file = {{"checksum", checksum_hex(all.data(), all.size())}, {"values", values}};
    write_file(out() / "measured" / (run.path().filename().string() + ".json"), file.dump());
  }

  const std::vector<std::pair<json, double>> expected = {
      {single("dead_share"), 0.5},      {single("saturated_share"), 0.2},
      {single("linear_gain"), 1},  // geometric means
      {single("gate_gain"), 0.2},       {single("linear_share"), 0.7},
      {single("gate_share"), 0.3},      {single("gradient_by_depth"), 0.5},
      {single("lag_gradient"), 0.25},   {single("context_gain"), 2},
      {with_at("lag_gradient", 16), 1}, {with_at("context_gain", 48), 2 - std::log2(1.5)},
      {with_at("context_gain", 128), 0}};
  text["parts"] = json::array();
  for (const auto& [part, value] : expected) text["parts"].push_back(part);
  const auto measured = [&] { return as_json(*run_claim(claim(text), request()))["parts"]; };
  const json parts = measured();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(parts[i]["values_a"][0].get<double>(), expected[i].second, 1e-7)
        << parts[i]["measure"];
  }

  for (const auto& file : fs::directory_iterator(out() / "measured")) {
    json read = json::parse(read_file(file.path()));
    read["values"]["inspection of 8192 tokens, layers"] = "x";
    write_file(file.path(), read.dump());
  }
  EXPECT_NE(measured()[0]["values_a"][0], 0.5);
}

// Models are measured as they are at the end, not at their best.
TEST_F(Claims, RunsKeepTheWeightsOfTheirEnd) {
  json text = tiny_claim();
  json& main = text["comparisons"]["main"];
  main["training"]["validate_every"] = 2;
  main["rates"] = {0.01, 1};
  text["parts"] = {single("final_loss")};
  const auto planned = plan_comparison(claim(text), claim(text).comparisons[0], request());
  ASSERT_TRUE(planned->run());
  int behind = 0;
  for (const CompareRun& run : planned->runs()) {
    const fs::path directory = planned->directory_of(run);
    const RunRecord& record = run.record;
    ASSERT_EQ(record.status, RunStatus::finished);
    EXPECT_EQ(fs::exists(directory / "last.safetensors"), record.best_step != record.steps);
    const auto loss = [&](const LoadedModel& loaded) {
      EvalOptions options;
      options.warm_up = 256;
      const EvalResult found =
          evaluate(*FrozenModel::freeze(*loaded.model), *planned->text().valid, options);
      return found.nll / static_cast<double>(found.tokens);
    };
    EXPECT_NEAR(loss(load_trained(directory)), record.final_loss, 1e-5);
    EXPECT_NEAR(loss(load_model(directory)), record.best_loss, 1e-5);
    if (record.best_step == record.steps) continue;
    ++behind;
    fs::remove(directory / "last.safetensors");
    EXPECT_EQ(find_run(directory, run.plan.hash).state, RunState::damaged);
  }
  EXPECT_GT(behind, 0);
}

TEST_F(Claims, LossesBelowTheUnigrams) {
  json text = tiny_claim();
  text["parts"] = {single("below_unigram"), single("final_loss")};
  const auto result = run_claim(claim(text), request());
  ASSERT_TRUE(result);
  const json element = as_json(*result);
  const json& parts = element["parts"];
  const double unigram =
      parts[0]["values_a"][0].get<double>() + parts[1]["values_a"][0].get<double>();
  EXPECT_NEAR(unigram,
              parts[0]["values_a"][1].get<double>() + parts[1]["values_a"][1].get<double>(), 1e-12);
  // The text has 27 words or so, some far more frequent.
  EXPECT_GT(unigram, 1);
  EXPECT_LT(unigram, std::log(27));
}

TEST_F(Claims, DivergedRunsKnowNothing) {
  json text = tiny_claim();
  json& main = text["comparisons"]["main"];
  main["vary"] = {{"optimizer", {"adamw", "sgd"}}};
  main["training"]["clip"] = 0;
  main["training"]["momentum"] = 0;
  main["rates"] = {0.3, 1e30};
  main["seeds"] = 5;
  const auto side = [](const char* optimizer, const char* rate) {
    return json{{"variant", {{"optimizer", optimizer}}}, {"rate", rate}};
  };
  text["parts"] = {{{"statement", "sgd diverges at the highest rate alone"},
                    {"measure", "diverged"},
                    {"a", side("sgd", "highest")},
                    {"b", side("sgd", "lowest")},
                    {"expect", "greater"}},
                   {{"statement", "its loss is that of knowing nothing"},
                    {"measure", "final_loss"},
                    {"a", side("sgd", "highest")},
                    {"expect", "greater"}},
                   {{"statement", "tokens"},
                    {"measure", "tokens_to_loss"},
                    {"a", side("sgd", "highest")},
                    {"b", side("sgd", "lowest")},
                    {"expect", "greater"}}};
  const auto result = run_claim(claim(text), request());
  ASSERT_TRUE(result);
  const json element = as_json(*result);
  const json& parts = element["parts"];
  EXPECT_EQ(parts[0]["verdict"], "holds");
  EXPECT_EQ(parts[0]["effect"], 1);
  const json results = json::parse(read_file(out() / "tiny" / "results.json"));
  const auto vocabulary = results["variants"][0]["model"]["vocabulary"].get<double>();
  EXPECT_DOUBLE_EQ(parts[1]["a"].get<double>(), std::log(vocabulary));
  EXPECT_EQ(parts[2]["verdict"], "inconclusive");
  EXPECT_TRUE(parts[2]["low"].is_null());
  EXPECT_NE(format_claim(*result).find("some run has no such value"), std::string::npos);
}

TEST_F(Claims, SeveralComparisonsHaveDirectoriesOfTheirOwn) {
  json text = tiny_claim();
  json& comparisons = text["comparisons"];
  comparisons["other"] = comparisons["main"];
  comparisons["other"]["vary"] = {{"norm", {"none", "layer"}}};
  text["parts"] = {single("final_loss")};
  text["parts"][0]["a"]["comparison"] = "main";
  text["parts"][0]["b"] = {{"comparison", "other"}, {"variant", {{"norm", {"none", "layer"}}}}};
  const auto result = run_claim(claim(text), request());
  ASSERT_TRUE(result);
  const json element = as_json(*result);
  EXPECT_EQ(element["directories"], json({"tiny/main", "tiny/other"}));
  EXPECT_EQ(element["parts"][0]["side_a"], "main: unit=glu");
  EXPECT_EQ(element["parts"][0]["side_b"], "other: norm=none|layer");
  const json results = json::parse(read_file(out() / "tiny" / "other" / "results.json"));
  const json& none = results["variants"][0]["loss"]["values"];
  const json& layer = results["variants"][1]["loss"]["values"];
  EXPECT_NEAR(element["parts"][0]["values_b"][0].get<double>(),
              (none[0].get<double>() + layer[0].get<double>()) / 2, 1e-12);
}

TEST_F(Claims, ResultsOfSeveralClaimsAreKept) {
  const auto result = [](const char* name, double seconds) {
    ClaimResult claim;
    claim.name = name;
    claim.seconds = seconds;
    return claim;
  };
  const auto add = [&](bool quick, const char* name, double seconds) {
    add_claim_result(request(), quick, result(name, seconds));
  };
  const auto claims = [&](const std::vector<ClaimResult>& wanted) {
    json list = json::array();
    for (const ClaimResult& each : wanted) list.push_back(as_json(each));
    return list;
  };
  add(false, "a", 1);
  add(false, "b", 2);
  add(false, "a", 3);
  const json all = claims_file();
  EXPECT_EQ(all["claims"], claims({result("a", 3), result("b", 2)}));
  EXPECT_EQ(all["quick"], false);
  EXPECT_EQ(all["format_version"], claims_format_version);
  // Quick ones are not mixed with others, nor are texts.
  add(true, "c", 4);
  EXPECT_EQ(claims_file()["claims"], claims({result("c", 4)}));
  std::ofstream(directory_ / "text.txt", std::ios::app) << sample_text(5);
  add(true, "d", 5);
  EXPECT_EQ(claims_file()["claims"], claims({result("d", 5)}));
}

TEST_F(Claims, VerdictsThatCannotBeReadAreNotReplaced) {
  const fs::path file = out() / "claims.json";
  ClaimResult result;
  result.name = "a";
  add_claim_result(request(), false, result);
  json newer = claims_file();
  newer["format_version"] = 999;
  for (const std::string& text : {std::string("{"), newer.dump()}) {
    write_file(file, text);
    for (const auto& use :
         {std::function<void()>([&] { check_claim_results(request(), false); }),
          std::function<void()>([&] { add_claim_result(request(), false, result); })}) {
      try {
        use();
        FAIL() << "replaced " << text;
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("claims.json"), std::string::npos);
      }
    }
    EXPECT_EQ(read_file(file), text);
  }
  fs::remove(file);
  fs::create_symlink(file, file);  // refused to everybody, root too
  EXPECT_THROW(add_claim_result(request(), false, result), SystemError);
  EXPECT_TRUE(fs::is_symlink(file));
}

TEST_F(Claims, VerdictsOfFullRunsAreNotLostToOthers) {
  check_claim_results(request(), false);  // nothing there yet
  add_claim_result(request(), false, *run_claim(claim(tiny_claim()), request()));
  EXPECT_NO_THROW(check_claim_results(request(), false));
  EXPECT_THROW(check_claim_results(request(), true), UsageError);
  ClaimRequest other = request();
  other.data = {directory_ / "other.txt"};
  std::ofstream(other.data[0]) << sample_text(601);
  EXPECT_THROW(check_claim_results(other, false), UsageError);
}

// Every shipped claim is one, whole and quick, and could be run: its sizes match.
TEST_F(Claims, ShippedOnesArePlanned) {
  std::ofstream(directory_ / "text.txt") << sample_text(3000);
  ASSERT_FALSE(shipped_claims().empty());
  for (const auto& [name, text] : shipped_claims()) {
    for (const bool quick : {false, true}) {
      json small = json::parse(text);
      // The little text here does not have the words the claim asks for.
      small["text"]["min_count"] = 1;
      small["text"].erase("vocabulary");
      const Claim claim = parse_claim(small.dump(), name, quick);
      EXPECT_EQ(find_claim(name, quick).budget().text(), claim.budget().text());
      EXPECT_GT(claim.minutes, 0) << name;
      // Two are of the papers' own order of size.
      const bool large = name == "dauphin-figure-1" || name == "shazeer-table";
      EXPECT_LE(claim.minutes, quick ? 1 : large ? 1500 : 120) << name;
      EXPECT_FALSE(claim.limits.empty()) << name;
      EXPECT_FALSE(claim.plain.empty()) << name;
      // Of five seeds a trimmed mean keeps three, which tell next to nothing.
      for (const ClaimPart& part : claim.parts) {
        if (quick || part.statistic == Statistic::mean) continue;
        EXPECT_GE(claim.comparison(part.a.of.comparison).seeds, 8) << name;
      }
      for (const ClaimComparison& comparison : claim.comparisons) {
        const auto planned = plan_comparison(claim, comparison, request());
        EXPECT_EQ(static_cast<std::int64_t>(planned->runs().size()), comparison.first_runs())
            << name;
        EXPECT_EQ(planned->runs().front().record.tokens, 0);
      }
    }
  }
  EXPECT_FALSE(fs::exists(out() / "runs"));
}

TEST_F(Claims, ARequestThatCannotBeMetNamesClaimAndComparison) {
  json text = tiny_claim();
  text["comparisons"]["main"]["model"]["tie"] = true;
  try {
    run_claim(claim(text), request());
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("claim 'tiny', comparison 'main': variant"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace sluice::lab_test
