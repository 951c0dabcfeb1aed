// results.json, runs.csv and the table.

#include "sluice/lab/compare/results.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lab/support.hpp"
#include "sluice/base/file.hpp"
#include "sluice/lab/compare/curves.hpp"
#include "sluice/lab/compare/statistics.hpp"

namespace sluice::lab_test {
namespace {

using nlohmann::json;

TEST_F(Lab, ResultsHoldWhatAReportNeeds) {
  CompareSpec request = spec();
  request.seeds = 3;
  request.rates = {0.003, 0.01};
  Comparison comparison(request, out());
  ASSERT_TRUE(comparison.run());
  const Results found = results_of(comparison);
  write_results(out(), found);
  const std::string file = read_file(out() / "results.json");
  EXPECT_EQ(results_json(parse_results(file, "results.json")), file);
  const json results = json::parse(file);

  EXPECT_EQ(results["format_version"], 1);
  EXPECT_EQ(results["seeds"], (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(results["threads"], 1);
  EXPECT_EQ(results["match"], "parameters");
  EXPECT_TRUE(results["same_batches"].get<bool>());
  EXPECT_EQ(results["runs"].size(), 12U);
  ASSERT_EQ(results["variants"].size(), 2U);
  const json& glu = results["variants"][1];
  EXPECT_EQ(glu["name"], "unit=glu");
  EXPECT_EQ(glu["fields"]["unit"], "glu");
  EXPECT_EQ(glu["search"]["runs"], 3);
  EXPECT_EQ(glu["search"]["tokens"], 3 * 640);
  EXPECT_EQ(glu["training_flops"], 3.0 * 640 * glu["flops_per_token"].get<double>());
  EXPECT_GT(glu["memory"], 0);
  EXPECT_GT(glu["tokens_per_second"]["mean"], 0);

  // Means, intervals and pairs are those of the losses.
  const auto losses = comparison.losses(1)[comparison.chosen_rate(1)];
  EXPECT_EQ(glu["loss"]["values"].get<std::vector<double>>(), losses);
  EXPECT_EQ(glu["loss"]["mean"], mean(losses));
  EXPECT_EQ(glu["loss"]["low"], mean_interval(losses).low);
  ASSERT_EQ(results["pairs"].size(), 1U);
  const auto test = paired_t_test(comparison.losses(0)[comparison.chosen_rate(0)], losses);
  EXPECT_EQ(results["pairs"][0]["difference"], test.difference);
  EXPECT_EQ(results["pairs"][0]["p_holm"], test.p);

  // Curves: ten validations, twenty lines of training, against tokens and seconds.
  const json& curves = glu["curves"];
  EXPECT_EQ(curves["validation"]["tokens"]["x"].size(), 10U);
  EXPECT_EQ(curves["validation"]["tokens"]["x"][9], 640);
  EXPECT_EQ(curves["validation"]["tokens"]["mean"][9], glu["loss"]["mean"]);
  EXPECT_EQ(curves["validation"]["tokens"]["high"].size(), 10U);
  EXPECT_EQ(curves["train"]["tokens"]["x"].size(), 20U);
  EXPECT_FALSE(curves["validation"]["seconds"]["x"].empty());

  const std::string text = format_results(found);
  EXPECT_NE(text.find("unit=glu"), std::string::npos);
  EXPECT_NE(text.find(pair_sentence(found.pairs[0])), std::string::npos);
  EXPECT_NE(text.find("the search took 6 of the 12 runs"), std::string::npos);
}

TEST_F(Lab, OneSeedGetsNoIntervals) {
  CompareSpec request = spec();
  request.seeds = 1;
  Comparison comparison(request, out());
  ASSERT_TRUE(comparison.run());
  const Results found = results_of(comparison);
  const json results = as_json(found);
  EXPECT_TRUE(results["variants"][0]["loss"]["low"].is_null());
  EXPECT_FALSE(results["variants"][0]["loss"]["mean"].is_null());
  EXPECT_EQ(results["pairs"][0]["verdict"], "untested");
  EXPECT_TRUE(results["pairs"][0]["p"].is_null());
  EXPECT_TRUE(results["variants"][0]["curves"]["validation"]["tokens"]["low"].empty());
  EXPECT_NE(format_results(found).find("one seed: no intervals"), std::string::npos);
}

TEST_F(Lab, DivergedVariantsAreSaidToBe) {
  CompareSpec request = spec();
  request.vary = {parse_variation("optimizer=adamw,sgd")};
  set_training(request, {{"clip", 0}, {"momentum", 0}});
  request.rates = {1e30};
  Comparison comparison(request, out());
  ASSERT_TRUE(comparison.run());
  const Results found = results_of(comparison);
  const json results = as_json(found);
  EXPECT_TRUE(results["variants"][1]["loss"]["mean"].is_null());
  EXPECT_EQ(results["variants"][1]["rates"][0]["diverged"], 2);
  EXPECT_EQ(results["pairs"][0]["verdict"], "untested");
  EXPECT_NE(format_results(found).find("diverged at step"), std::string::npos);
}

TEST_F(Lab, RunsCsvHasALinePerRun) {
  CompareSpec request = spec();
  request.vary = {parse_variation("layers=[(12,3)]*2,[(8,3)]*4")};
  request.match = MatchBy::width;
  Comparison comparison(request, out());
  ASSERT_TRUE(comparison.run());
  std::istringstream csv(runs_csv(results_of(comparison)));
  std::string line;
  std::getline(csv, line);
  EXPECT_TRUE(line.starts_with("run,variant,layers,parameters,flops_per_token,memory,lr,seed,"))
      << line;
  const auto columns = std::count(line.begin(), line.end(), ',');
  int lines = 0;
  for (; std::getline(csv, line); ++lines) {
    // Specs hold commas, and are quoted.
    EXPECT_NE(line.find("\"[("), std::string::npos) << line;
    bool quoted = false;
    std::ptrdiff_t commas = 0;
    for (const char c : line) {
      if (c == '"') quoted = !quoted;
      if (c == ',' && !quoted) ++commas;
    }
    EXPECT_EQ(commas, columns) << line;
  }
  EXPECT_EQ(lines, 4);
}

TEST(Bands, AverageCurvesOfTheSamePlaces) {
  const Band band = band_of({{{1, 2.0}, {2, 1.0}}, {{1, 4.0}, {2, 2.0}}, {{1, 3.0}, {2, 1.5}}});
  EXPECT_EQ(band.x, (std::vector<double>{1, 2}));
  EXPECT_EQ(band.mean, (std::vector<double>{3, 1.5}));
  // t(0.975, 2) = 4.302653, deviation 1, n = 3
  EXPECT_NEAR(band.high[0], 3 + 4.3026527297 / std::sqrt(3.0), 1e-9);
  EXPECT_NEAR(band.low[1], 1.5 - 0.5 * 4.3026527297 / std::sqrt(3.0), 1e-9);
}

TEST(Bands, MeetWhereCurvesDoNotShareTheirPlaces) {
  // The lines y = x and y = 2x.
  const Band band = band_of({{{0, 0}, {3, 3}, {10, 10}}, {{1, 2}, {7, 14}}});
  ASSERT_EQ(band.x.size(), 100U);
  EXPECT_DOUBLE_EQ(band.x.front(), 1);
  EXPECT_DOUBLE_EQ(band.x.back(), 7);
  for (std::size_t i = 0; i < band.x.size(); ++i) EXPECT_NEAR(band.mean[i], 1.5 * band.x[i], 1e-12);
  // No range is shared: point by point.
  const Band apart = band_of({{{0, 1}, {1, 5}}, {{2, 3}, {4, 4}, {5, 0}}});
  EXPECT_EQ(apart.x, (std::vector<double>{1, 2.5}));
  EXPECT_EQ(apart.mean, (std::vector<double>{2, 4.5}));
  EXPECT_EQ(apart.low.size(), 2U);
  EXPECT_TRUE(band_of({{{0, 1}}, {}}).x.empty());
  EXPECT_TRUE(band_of({{{0, 1}, {1, 1}}}).low.empty());
}

}  // namespace
}  // namespace sluice::lab_test
