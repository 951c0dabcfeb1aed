// report.html and its CSVs: what they hold, and that nothing of the user's can act as markup.

#include "sluice/lab/report/report.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <sstream>

#include "report_samples.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"

namespace sluice::lab_test {
namespace {

namespace fs = std::filesystem;

class Report : public ::testing::Test {
 protected:
  Report() {
    std::string name = (fs::temp_directory_path() / "sluice-report-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = name;
  }
  ~Report() override { fs::remove_all(directory_); }

  void put(const std::string& name, const json& object) const {
    fs::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name) << object.dump();
  }
  std::string page() const { return read_file(directory_ / "report.html"); }
  std::string csv(const std::string& name) const {
    return read_file(directory_ / "report" / (name + ".csv"));
  }
  /// What write_report says against the directory.
  std::string refusal() const { return refusal_of(directory_); }
  static std::string refusal_of(const fs::path& directory) {
    try {
      write_report(directory);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }
  fs::path directory_;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The text between the first `begin` and the `end` after it.
std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t from = text.find(begin);
  if (from == std::string::npos) return "";
  const std::size_t start = from + begin.size();
  return text.substr(start, text.find(end, start) - start);
}

/// The page made of objects as their files hold them; null for none.
std::string html_of(const json& results, const json& inspection, const json& claims) {
  std::optional<Results> parsed_results;
  std::optional<Inspection> parsed_inspection;
  std::optional<ClaimResults> parsed_claims;
  if (!results.is_null()) parsed_results = parse_results(results.dump(), "results.json");
  if (!inspection.is_null()) {
    parsed_inspection = parse_inspection(inspection.dump(), "inspect.json");
  }
  if (!claims.is_null()) parsed_claims = parse_claim_results(claims.dump(), "claims.json");
  return report_html({.results = parsed_results ? &*parsed_results : nullptr,
                      .inspection = parsed_inspection ? &*parsed_inspection : nullptr,
                      .claims = parsed_claims ? &*parsed_claims : nullptr});
}

/// The page's data.
json data_of(const std::string& page) {
  return json::parse(between(page, "<script type=\"application/json\" id=\"data\">", "</script>"));
}

/// Cells of a CSV without quotes.
std::vector<std::vector<std::string>> cells(const std::string& csv) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(csv);
  for (std::string line; std::getline(lines, line);) {
    rows.emplace_back();
    std::istringstream parts(line + ",");
    for (std::string part; std::getline(parts, part, ',');) rows.back().push_back(part);
  }
  return rows;
}

TEST_F(Report, OpensWithTheVerdictsInWords) {
  const std::string page =
      html_of(sample_results({"unit=glu", "unit=gtu", "unit=tanh"}), nullptr, nullptr);
  const std::string words = between(page, "<ul class=\"verdicts\">", "</ul>");
  EXPECT_TRUE(has(words,
                  "<b>unit=glu</b> has the lowest final validation loss, 1.6000 nats per token "
                  "(95% interval 1.5752 to 1.6248), a perplexity of 4.95. It is better than "
                  "<b>unit=gtu</b> and <b>unit=tanh</b>."))
      << words;
  EXPECT_TRUE(has(words,
                  "<b>unit=glu</b> than <b>unit=tanh</b> by 0.0600 nats per token (0.0397 to "
                  "0.0803); p = 0.0012 after Holm’s correction."))
      << words;
  for (const char* id : {"variants", "curves", "rates", "pairs"}) {
    EXPECT_TRUE(has(page, std::string("<section id=\"") + id + "\"")) << id;
  }
}

TEST_F(Report, TellsPairsFromTheBetterSide) {
  json results = sample_results({"unit=glu", "unit=tanh"});
  json& pair = results["pairs"][0];
  pair["verdict"] = "worse";
  pair["difference"] = 0.05;
  pair["low"] = 0.02;
  pair["high"] = 0.08;
  const std::string page = html_of(results, nullptr, nullptr);
  EXPECT_TRUE(has(
      page, "<b>unit=tanh</b> than <b>unit=glu</b> by 0.0500 nats per token (0.0200 to 0.0800)"));

  pair["verdict"] = "not distinguishable";
  pair["low"] = -0.02;
  EXPECT_TRUE(
      has(html_of(results, nullptr, nullptr),
          "<b>unit=glu</b> and <b>unit=tanh</b> at this budget: the difference is +0.0500 nats per "
          "token (-0.0200 to +0.0800)"));
}

TEST_F(Report, SaysWhatIsDoubtful) {
  json results = sample_results({"unit=glu", "unit=tanh"});
  results["seeds"] = {1};
  results["same_batches"] = false;
  results["pairs"][0] = {{"a", "unit=glu"}, {"b", "unit=tanh"}, {"n", 1}, {"verdict", "untested"}};
  for (const char* none : {"difference", "low", "high", "t", "p", "p_holm"})
    results["pairs"][0][none] = nullptr;
  json& tanh = results["variants"][1];
  tanh["lr_at_edge"] = true;
  for (const char* none : {"mean", "low", "high"}) tanh["loss"][none] = nullptr;
  results["runs"][12]["status"] = "diverged";
  results["runs"][12]["message"] = "the loss became infinite at step 7";
  const std::string page = html_of(results, nullptr, nullptr);
  for (const char* part :
       {"One seed: no intervals and no verdicts", "the loss became infinite at step 7",
        "The best learning rate of <b>unit=tanh</b> is at an end", "cut differently",
        ">diverged<"}) {
    EXPECT_TRUE(has(page, part)) << part;
  }
}

// A claim may give variants different numbers of seeds.
TEST_F(Report, SaysHowManySeedsVariantsHave) {
  json results = sample_results({"unit=glu", "unit=gtu", "unit=tanh"});
  EXPECT_TRUE(has(html_of(results, nullptr, nullptr), "3, the same for each variant"));
  results["variants"][0]["loss"]["values"].push_back(1.6);
  results["variants"][2]["loss"]["values"] = {1.66};
  results["seeds"] = {1, 2, 3, 4};
  const std::string page = html_of(results, nullptr, nullptr);
  EXPECT_TRUE(has(page, "1 to 4, more where a claim was still open"));
  EXPECT_TRUE(has(data_of(page)["tables"]["variants"].dump(), "\"seeds\""));
  // With one seed there is no verdict on a pair.
  const std::string words = between(page, "<ul class=\"verdicts\">", "</ul>");
  EXPECT_TRUE(has(words, "<b>unit=glu</b> than <b>unit=gtu</b>")) << words;
  EXPECT_FALSE(has(words, "<b>unit=glu</b> than <b>unit=tanh</b>")) << words;
}

TEST_F(Report, ManyPairsAreNotAllTold) {
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) names.push_back("dim=" + std::to_string(i));
  const std::string page = html_of(sample_results(names), nullptr, nullptr);
  EXPECT_TRUE(has(page, "other pairs</a> are below, 190 in all"));
  const json differences = data_of(page)["charts"]["differences"]["series"];
  std::size_t drawn = 0;
  for (const json& series : differences) drawn += series["x"].size();
  EXPECT_EQ(drawn, 19U);
  EXPECT_EQ(data_of(page)["tables"]["pairs-table"]["rows"].size(), 190U);
}

TEST_F(Report, CsvsHoldTheNumbersOfTheResults) {
  const json results = sample_results({"unit=glu", "unit=tanh"});
  put("results.json", results);
  write_report(directory_);

  const auto curve = cells(csv("loss-seconds-train"));
  EXPECT_EQ(curve[0], (std::vector<std::string>{"variant", "seconds", "loss", "low", "high"}));
  ASSERT_EQ(curve.size(), 101U);
  for (std::size_t i = 0; i < 100; ++i) {
    const json& variant = results["variants"][i / 50];
    const json& band = variant["curves"]["train"]["seconds"];
    EXPECT_EQ(curve[i + 1][0], variant["name"].get<std::string>());
    EXPECT_EQ(std::stod(curve[i + 1][1]), band["x"][i % 50]);
    EXPECT_EQ(std::stod(curve[i + 1][2]), band["mean"][i % 50]);
    EXPECT_EQ(std::stod(curve[i + 1][3]), band["low"][i % 50]);
    EXPECT_EQ(std::stod(curve[i + 1][4]), band["high"][i % 50]);
  }
  const auto variants = cells(csv("variants"));
  EXPECT_EQ(variants[0][1], "loss");
  EXPECT_EQ(std::stod(variants[2][1]), results["variants"][1]["loss"]["mean"]);
  EXPECT_EQ(variants[2][5], "123456");
  const auto pairs = cells(csv("pairs-table"));
  EXPECT_EQ(std::stod(pairs[1][3]), results["pairs"][0]["difference"]);
  EXPECT_EQ(std::stod(pairs[1][8]), results["pairs"][0]["p_holm"]);
  const auto rates = cells(csv("rates"));
  ASSERT_EQ(rates.size(), 7U);
  EXPECT_EQ(std::stod(rates[3][2]), results["variants"][0]["rates"][2]["loss"]["mean"]);

  // The page draws the same.
  const json charts = data_of(page())["charts"];
  EXPECT_EQ(charts["loss-tokens-validation"]["series"][1]["y"],
            results["variants"][1]["curves"]["validation"]["tokens"]["mean"]);
  for (const auto& [name, chart] : charts.items()) {
    EXPECT_TRUE(fs::exists(directory_ / "report" / (name + ".csv"))) << name;
  }
}

TEST_F(Report, QuotesCsvCells) {
  put("results.json", sample_results({"layers=[(12,3)]*2", "norm=\"x\""}));
  write_report(directory_);
  EXPECT_TRUE(has(csv("variants"), "\n\"layers=[(12,3)]*2\",1.6,"));
  EXPECT_TRUE(has(csv("variants"), "\n\"norm=\"\"x\"\"\",1.63"));
}

TEST_F(Report, DrawsTheHistoriesThatAreThere) {
  json results = sample_results({"unit=glu"});
  results["runs"] = json::array({results["runs"][0], results["runs"][1]});
  put("results.json", results);
  const auto run = results["runs"][0]["run"].get<std::string>();
  fs::create_directories(directory_ / "runs" / run);
  std::ofstream(directory_ / "runs" / run / "metrics.jsonl")
      << R"({"event": "train", "step": 2, "epoch": 1, "tokens": 1024, "seconds": 0.5, "loss": 4.25, "perplexity": 1, )"
         R"("lr": 1, "gradient_norm": 1, "tokens_per_second": 1})"
      << "\n"
      << R"({"event": "validation", "step": 2, "epoch": 1, "tokens": 9, "seconds": 0.75, "loss": 4.5, )"
         R"("perplexity": 90, "best": true})"
      << "\n"
      << R"({"event": "train", "step": 4, "epoch": 1, "tokens": 1024, "seconds": 1.5, "loss": 3.5, "perplexity": 1, )"
         R"("lr": 1, "gradient_norm": 1, "tokens_per_second": 1})"
      << "\n";
  write_report(directory_);
  // 16 × 32 tokens a step.
  EXPECT_EQ(csv("loss-tokens-runs"), "variant,lr,seed,run,tokens,loss\nunit=glu,0.1,1," + run +
                                         ",1024.0,4.25\nunit=glu,0.1,1," + run + ",2048.0,3.5\n");
  EXPECT_TRUE(has(page(), "1 of 2 runs could not be drawn one by one: "));
  EXPECT_TRUE(has(page(), results["runs"][1]["run"].get<std::string>() + "/metrics.jsonl"));
}

TEST_F(Report, NothingOfTheUsersIsMarkup) {
  json results = sample_results({hostile, "unit=tanh"});
  results["varied"] = {hostile, "unit"};
  results["data"]["files"]["train"] = {"/texts/" + hostile};
  results["data"]["tokenizer"]["kind"] = hostile;
  results["runs"][3]["status"] = "diverged";
  results["runs"][3]["message"] = hostile;
  results["date"] = results["version"] = hostile;
  json inspection = sample_inspection();
  inspection["layers"][0]["name"] = inspection["layers"][0]["unit"] = hostile;
  inspection["text"]["file"] = inspection["model"]["summary"] = hostile;
  inspection["surprisal"][4]["text"] = hostile;
  inspection["date"] = inspection["version"] = hostile;
  json claims = sample_claims();
  for (const char* field : {"name", "title", "statement", "source", "budget", "command"}) {
    claims["claims"][0][field] = hostile;
  }
  for (const char* field : {"statement", "measure", "side_a", "side_b", "unit"}) {
    claims["claims"][0]["parts"][0][field] = hostile;
  }
  claims["claims"][0]["directories"] = {hostile};
  const std::string page = html_of(results, inspection, claims);
  const std::string calm =
      html_of(sample_results({"unit=glu", "unit=tanh"}), sample_inspection(), sample_claims());
  const auto count = [](const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
      ++found;
    return found;
  };
  for (const char* part : {"<script", "</script", "<img"}) {
    EXPECT_EQ(count(page, part), count(calm, part)) << part;
  }
  EXPECT_FALSE(has(page.substr(0, page.find("id=\"data\"")), "\"boom()"));
  EXPECT_TRUE(has(page, "&lt;/script&gt;&lt;img src=x onerror=&quot;boom()&quot;&gt;&amp;&#39;"));
  EXPECT_EQ(data_of(page)["charts"]["rates"]["series"][0]["name"], hostile);
}

TEST_F(Report, LoadsNothingFromElsewhere) {
  const std::string page =
      html_of(sample_results({"unit=glu", "unit=tanh"}), sample_inspection(), sample_claims());
  EXPECT_TRUE(has(page, "default-src 'none'"));
  const std::regex loads("(src|href|action)\\s*=\\s*\"([^\"]*)\"");
  const std::string markup = page.substr(0, page.find("<script type=\"application/json\""));
  int found = 0;
  for (std::sregex_iterator at(markup.begin(), markup.end(), loads), end; at != end;
       ++at, ++found) {
    const std::string target = (*at)[2];
    EXPECT_TRUE(target.starts_with("#") || target.starts_with("report/") || target == "data:," ||
                target == "gates-help/main/report.html")
        << target;
  }
  EXPECT_GT(found, 20);
  for (const char* part : {"@import", "url(", "importScripts", "XMLHttpRequest", "fetch("}) {
    EXPECT_FALSE(has(page, part)) << part;
  }
}

TEST_F(Report, ShowsAnInspection) {
  put("inspect.json", sample_inspection());
  write_report(directory_);
  const std::string text = page();
  for (const char* part : {"Gates are saturated most in <b>layers.3</b>: 17% of them.",
                           "Channels that are never active: 12% in <b>layers.4</b>",
                           "falls below a tenth of its largest beyond 15 tokens back",
                           "Perplexity is 12.18 with 1 token of context and 5 with 64; 16 are "
                           "enough to come within 2%",
                           "&lt;</span>", "⏎\n"}) {
    EXPECT_TRUE(has(text, part)) << part;
  }
  const json charts = data_of(text)["charts"];
  EXPECT_EQ(charts["gates"]["series"].size(), 4U);
  EXPECT_EQ(charts["gates"]["series"][0]["x"][0], 0.025);
  EXPECT_EQ(charts["gradient-shares"]["series"][1]["y"][4], nullptr);
  EXPECT_EQ(charts["lags"]["y"]["scale"], "log");
  EXPECT_EQ(cells(csv("lags")).size(), 66U);
  EXPECT_TRUE(csv("surprisal").starts_with("token,position,nats,probability\n"));
}

TEST_F(Report, PlainModelsHaveNoGatesToShow) {
  json inspection = sample_inspection(1);
  inspection["layers"].erase(0);
  inspection["lags"] = nullptr;
  inspection["context"] = nullptr;
  inspection["surprisal"] = json::array();
  const json charts = data_of(html_of(nullptr, inspection, nullptr))["charts"];
  EXPECT_FALSE(charts.contains("gates"));
  EXPECT_FALSE(charts.contains("lags"));
  EXPECT_FALSE(charts.contains("gradient-shares"));
  EXPECT_TRUE(charts.contains("gradient-norm"));
}

TEST_F(Report, ShowsClaimsAndReportsOnTheirComparisons) {
  put("claims.json", sample_claims());
  put("gates-help/main/results.json", sample_results({"unit=gtu", "unit=tanh"}));
  write_report(directory_);
  const std::string text = page();
  for (const char* part :
       {"Of 2 claims, <b>1 holds</b>, <b>0 fail</b>, <b>0 are equal within their bounds</b> and "
        "<b>1 is inconclusive</b>",
        "A quick run", "id=\"claim-gates-help\"", "href=\"gates-help/main/report.html\"",
        "The effect is -0.12 nats per token (-0.16 to -0.08).", "<td>below 0</td>", "1:02 min"}) {
    EXPECT_TRUE(has(text, part)) << part;
  }
  EXPECT_TRUE(has(read_file(directory_ / "gates-help/main/report.html"), "unit=gtu"));
  EXPECT_EQ(cells(csv("claim-linear-path-parts")).size(), 3U);
  EXPECT_EQ(data_of(text)["charts"]["claim-linear-path-effects"]["series"][1]["high"][0], 0.13);

  // A damaged one of them is named; the rest is there.
  std::ofstream(directory_ / "gates-help/main/results.json") << "{";
  write_report(directory_);
  EXPECT_TRUE(has(page(), "gates-help/main/results.json&#39; is damaged"));
  EXPECT_FALSE(has(page(), "href=\"gates-help/main/report.html\""));
}

TEST_F(Report, FindsTheRunsThatClaimsShare) {
  const json results = sample_results({"unit=gtu"});
  put("claim/main/results.json", results);
  const auto run = results["runs"][0]["run"].get<std::string>();
  fs::create_directories(directory_ / "runs" / run);
  std::ofstream(directory_ / "runs" / run / "metrics.jsonl")
      << R"({"event": "train", "step": 2, "epoch": 1, "tokens": 1024, "seconds": 0.5, "loss": 4.25, "perplexity": 1, )"
         R"("lr": 1, "gradient_norm": 1, "tokens_per_second": 1})"
      << "\n";
  write_report(directory_ / "claim/main");
  EXPECT_TRUE(
      has(read_file(directory_ / "claim/main/report/loss-seconds-runs.csv"), ",0.5,4.25\n"));
}

TEST_F(Report, RatiosAreHeldAgainstTheirThreshold) {
  json claims = sample_claims();
  json& part = claims["claims"][0]["parts"][0];
  part["kind"] = "ratio";
  part["threshold"] = 1;
  part["effect"] = 0.5;
  const std::string page = html_of(nullptr, nullptr, claims);
  EXPECT_EQ(data_of(page)["charts"]["claim-gates-help-effects"]["reference"], 1);
  EXPECT_TRUE(has(page, "The effect is 0.5 times ("));
}

TEST_F(Report, RefusesInOneSentence) {
  EXPECT_TRUE(has(refusal_of(directory_ / "nowhere"), "/nowhere' does not exist"));
  EXPECT_FALSE(fs::exists(directory_ / "nowhere"));
  EXPECT_TRUE(has(refusal(),
                  "has no results.json, inspect.json or claims.json: give a directory that a "
                  "comparison, an inspection or a run of claims wrote"));
  std::ofstream(directory_ / "results.json") << "{\"format_version\": 1";
  EXPECT_TRUE(has(refusal(), "results.json' is damaged (no JSON, line 1, column 21: "))
      << refusal();
  EXPECT_TRUE(has(refusal(), "): repeat the comparison that wrote it")) << refusal();
  std::ofstream(directory_ / "results.json") << "[1]";
  EXPECT_TRUE(has(refusal(), "results.json' is damaged (no JSON object): ")) << refusal();
  json results = sample_results({"unit=glu", "unit=tanh"});
  results["format_version"] = 2;
  put("results.json", results);
  EXPECT_TRUE(has(refusal(),
                  "results.json' has format 2, and this version of Sluice reads formats up to 1"))
      << refusal();
  results["format_version"] = 1;
  results["variants"][1].erase("rates");
  put("results.json", results);
  EXPECT_TRUE(has(refusal(), "results.json' is damaged (")) << refusal();
  EXPECT_TRUE(has(refusal(), "rates'")) << refusal();
  EXPECT_FALSE(fs::exists(directory_ / "report.html"));
  fs::remove(directory_ / "results.json");
  put("inspect.json", {{"format_version", 1}});
  EXPECT_TRUE(has(refusal(), "inspect.json' is damaged (")) << refusal();
  EXPECT_TRUE(has(refusal(), "): repeat the inspection that wrote it")) << refusal();
  EXPECT_THROW(html_of(nullptr, nullptr, nullptr), Error);
}

// Each of these read past the end of a list, put text into the page as markup, or never ended.
TEST_F(Report, RefusesWhatIsNotAsDocumented) {
  const auto refused = [](json object, const std::string& pointer, const json& value,
                          const std::string& part) {
    object[json::json_pointer(pointer)] = value;
    const bool results = object.contains("pairs"), claims = object.contains("claims");
    std::string said = "accepted";
    try {
      html_of(results ? object : json(), results || claims ? json() : object,
              claims ? object : json());
    } catch (const Error& error) {
      said = error.what();
    }
    EXPECT_TRUE(has(said, part)) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos) << said;
    EXPECT_LT(said.size(), 500U) << said;
  };
  const json results = sample_results({"unit=glu", "unit=tanh"});
  const std::string band = "/variants/0/curves/train/tokens";
  refused(results, band + "/mean", {1.0}, "mean'");
  refused(results, band + "/high", json::array(), "as many in both");
  refused(results, band + "/low", {1.0, 2.0}, "low'");
  refused(results, band + "/x/3", hostile, "a number");
  refused(results, "/variants/0/loss/mean", hostile, "a number or null");
  refused(results, "/variants/1/name", "unit=relu", "a variant that is not there");
  refused(results, "/runs/0/variant", "unit=relu", "a variant that is not there");
  refused(results, "/runs/0/status", hostile, "status");
  refused(results, "/pairs/0/verdict", "best", "verdict");
  refused(results, "/match", "size", "match");
  refused(results, "/variants/0/training/batch", 0, "'batch'");
  refused(results, "/variants/0/extra", 1, "extra");
  const json inspection = sample_inspection();
  refused(inspection, "/lags/norm", {0.5}, "norm'");
  refused(inspection, "/context/tokens", {1, 2}, "as many in both");
  refused(inspection, "/context/tokens/0", hostile, "a whole number");
  refused(inspection, "/layers/0/gate/histogram", {0.5, 0.5}, "20 shares");
  refused(inspection, "/surprisal/0/text", 3, "text");
  const json claims = sample_claims();
  refused(claims, "/claims/0/parts/0/verdict", hostile, "verdict");
  refused(claims, "/claims/0/parts/0/effect", "much", "a number or null");
  refused(claims, "/claims/0/directories", {1}, "text");
}

TEST_F(Report, FollowsNoDirectoryButThoseBelow) {
  json claims = sample_claims();
  for (const char* name : {".", "", "./", "a/..", "..", "../other", "/tmp", "gates-help/../.."}) {
    claims["claims"][0]["directories"] = {name};
    put("claims.json", claims);
    write_report(directory_);
    EXPECT_FALSE(has(page(), "<dt>Runs</dt>")) << name;
  }
  // Claims beside a comparison are not followed from there.
  claims["claims"][0]["directories"] = {"inner"};
  put("claims.json", claims);
  put("inner/claims.json", claims);
  put("inner/results.json", sample_results({"unit=gtu", "unit=tanh"}));
  write_report(directory_);
  EXPECT_TRUE(has(page(), "href=\"inner/report.html\""));
  EXPECT_FALSE(has(read_file(directory_ / "inner/report.html"), "Gates help"));
}

TEST_F(Report, ReplacesWhatAnEarlierReportLeft) {
  put("claims.json", sample_claims());
  write_report(directory_);
  ASSERT_TRUE(fs::exists(directory_ / "report/claim-gates-help-parts.csv"));
  std::ofstream(directory_ / "report/notes.txt") << "mine";
  fs::remove(directory_ / "claims.json");
  put("inspect.json", sample_inspection());
  write_report(directory_);
  EXPECT_FALSE(fs::exists(directory_ / "report/claim-gates-help-parts.csv"));
  EXPECT_TRUE(fs::exists(directory_ / "report/notes.txt"));
  EXPECT_FALSE(has(page(), "Gates help"));
}

}  // namespace
}  // namespace sluice::lab_test
