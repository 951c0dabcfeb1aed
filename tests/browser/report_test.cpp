// The report in headless Chromium: it opens from disk without errors or requests, draws its charts,
// and does what its buttons and keys say. probe.js, put into the page, goes through it.

#include "sluice/lab/report/report.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lab/report/report_samples.hpp"
#include "sluice/base/file.hpp"

namespace sluice::browser_test {
namespace {

namespace fs = std::filesystem;
using namespace lab_test;

/// What went wrong from the first moment on.
constexpr const char* listener = R"(
window.problems = [];
addEventListener('error', event => problems.push(`${event.message} (line ${event.lineno})`));
addEventListener('unhandledrejection', event => problems.push(String(event.reason)));
addEventListener('securitypolicyviolation', event => problems.push(`${event.violatedDirective}: ${event.blockedURI}`));
)";

std::string unescaped(std::string text) {
  for (const auto& [from, to] : {std::pair{"&lt;", "<"},
                                 {"&gt;", ">"},
                                 {"&quot;", "\""},
                                 {"&nbsp;", "\u00a0"},
                                 {"&amp;", "&"}}) {
    const std::string entity = from;
    for (std::size_t at = text.find(entity); at != std::string::npos;
         at = text.find(entity, at + 1)) {
      text.replace(at, entity.size(), to);
    }
  }
  return text;
}

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t from = text.find(begin);
  if (from == std::string::npos) return "";
  const std::size_t start = from + begin.size();
  return text.substr(start, text.find(end, start) - start);
}

class Browser : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "sluice-browser-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    if (std::system("command -v chromium > /dev/null") != 0) {
      // ./dev test has installed it, so that skipping would hide a fault.
      ASSERT_EQ(std::getenv("SLUICE_REQUIRE_BROWSER"), nullptr) << "chromium is not installed";
      GTEST_SKIP() << "chromium is not installed: ./dev test installs it";
    }
  }
  void TearDown() override { fs::remove_all(directory_); }

  void put(const std::string& name, const json& object) const {
    std::ofstream(directory_ / name) << object.dump();
  }

  /// The metrics of a run beside the results: a loss that falls to `end`.
  void put_history(const std::string& run, double end, int points) const {
    const json curve = sample_curve(end, points, 60000, false);
    fs::create_directories(directory_ / "runs" / run);
    std::ofstream file(directory_ / "runs" / run / "metrics.jsonl");
    for (int i = 0; i < points; ++i) {
      const json line = {{"event", "train"},
                         {"step", i + 1},
                         {"epoch", 1},
                         {"tokens", 512 * (i + 1)},
                         {"loss", curve["mean"][static_cast<std::size_t>(i)]},
                         {"perplexity", 9},
                         {"lr", 0.1},
                         {"gradient_norm", 1},
                         {"tokens_per_second", 1000},
                         {"seconds", 0.5 * (i + 1)}};
      file << line.dump() << "\n";
    }
  }

  /// Makes the report, opens a copy with probe.js in it in a window of this size, and gives back
  /// what that found.
  json opened(int width = 1200, int height = 900) {
    write_report(directory_);
    std::string page = read_file(directory_ / "report.html");
    const std::string nonce = between(page, "'nonce-", "'");
    const auto script = [&](const std::string& text) {
      return "<script nonce=\"" + nonce + "\">" + text + "</script>\n";
    };
    page.insert(page.find("<title>"), script(listener));
    page.insert(page.rfind("</body>"),
                script(read_file(fs::path(SLUICE_SOURCE_DIR) / "tests/browser/probe.js")));
    std::ofstream(directory_ / "probe.html") << page;

    const fs::path log = directory_ / "log.txt";
    const fs::path dom = directory_ / "dom.html";
    std::ostringstream command;
    command << "HOME='" << directory_.string() << "' chromium --headless --disable-gpu "
            << "--disable-dev-shm-usage --no-first-run " << (getuid() == 0 ? "--no-sandbox " : "")
            << "--host-resolver-rules='MAP * ~NOTFOUND' --enable-logging=stderr "
            << "--user-data-dir='" << (directory_ / "profile").string()
            << "' --window-size=" << width << ',' << height
            << " --virtual-time-budget=20000 --dump-dom 'file://"
            << (directory_ / "probe.html").string() << "' > '" << dom.string() << "' 2> '"
            << log.string() << "' < /dev/null";
    EXPECT_EQ(std::system(command.str().c_str()), 0) << read_file(log);
    const std::string said = read_file(log);
    std::istringstream lines(said);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_EQ(line.find("CONSOLE"), std::string::npos) << line;
    }
    const std::string probe = between(read_file(dom), "<pre id=\"probe\">", "</pre>");
    EXPECT_FALSE(probe.empty());
    return probe.empty() ? json::object() : json::parse(unescaped(probe));
  }

  /// What holds for every report.
  void expect_sound(const json& found) {
    EXPECT_EQ(found["problems"], json::array());
    EXPECT_EQ(found["requests"], json::array());
    EXPECT_EQ(found["unnamed"], 0);
    EXPECT_LE(found["width"][1], found["width"][0]) << "the page scrolls sideways";

    int level = 0;
    for (const json& heading : found["headings"]) {
      EXPECT_LE(heading, level + 1) << found["headings"];
      level = heading;
    }
    EXPECT_EQ(std::count(found["headings"].begin(), found["headings"].end(), json(1)), 1);

    ASSERT_EQ(found["themes"].size(), 2U) << "light and dark differ";
    for (const auto& [page, theme] : found["themes"].items()) {
      EXPECT_GE(theme["lightest"], 4.5) << page << theme["all"];
    }
    EXPECT_NE(found["themes"].front()["series"], found["themes"].back()["series"]);
    ASSERT_EQ(found["prints"].size(), 2U);
    for (const json& print : found["prints"]) {
      EXPECT_EQ(print["printed"][0], "rgb(246, 247, 249)") << "printed dark";
      EXPECT_EQ(print["printed"], found["prints"][0]["printed"]);
      EXPECT_TRUE(print["restored"].get<bool>());
    }
  }

  /// Charts are drawn, their series and views switch, their data are there.
  static void expect_charts(const json& found) {
    ASSERT_FALSE(found["figures"].empty());
    for (const json& figure : found["figures"]) {
      EXPECT_EQ(figure["role"], "application");
      EXPECT_EQ(figure["description"], "chart");
      EXPECT_GT(figure["label"].get<std::string>().size(), 40U) << figure["label"];
      for (const json& view : figure["views"]) {
        EXPECT_EQ(view["shown"], view["id"]);
        EXPECT_GT(view["colors"], 20) << view;
        EXPECT_NE(view["readout"], "") << view;
        EXPECT_EQ(view["rows"], std::min(view["points"].get<std::size_t>(), std::size_t{1000}))
            << view;
        for (const char* works : {"focused", "off", "changed", "on", "zoomed", "whole", "log"}) {
          EXPECT_TRUE(view.value(works, true)) << works << ": " << view;
        }
        EXPECT_EQ(view.value("only", 1), 1) << view;
        EXPECT_FALSE(view["blank"].get<bool>()) << view;
      }
    }
  }

  /// The page hands out the CSVs that are beside it, number for number.
  void expect_csvs(const json& found) const {
    for (const auto& [name, text] : found["csv"].items()) {
      if (text.is_null()) continue;
      std::istringstream page(text.get<std::string>());
      std::istringstream file(read_file(directory_ / "report" / (name + ".csv")));
      for (std::string a, b; std::getline(file, b);) {
        ASSERT_TRUE(std::getline(page, a)) << name;
        if (a == b) continue;
        // Numbers may be spelled differently.
        std::istringstream as(a);
        std::istringstream bs(b);
        for (std::string x, y; std::getline(bs, y, ',');) {
          ASSERT_TRUE(std::getline(as, x, ',')) << name << ": " << a << " | " << b;
          if (x != y) {
            ASSERT_EQ(std::stod(x), std::stod(y)) << name << ": " << a << " | " << b;
          }
        }
      }
      EXPECT_TRUE(page.peek() == EOF) << name;
    }
  }

  fs::path directory_;
};

TEST_F(Browser, AComparison) {
  json results = sample_results({"unit=glu", "unit=gtu", hostile});
  int number = 0;
  for (const json& run : results["runs"]) put_history(run["run"], 1.6 + 0.02 * number++, 20);
  put("results.json", results);
  const json found = opened();
  expect_sound(found);
  expect_charts(found);
  expect_csvs(found);
  EXPECT_TRUE(found["sorts"].get<bool>());
  // Final losses, two of curves with three views, rates, differences.
  EXPECT_EQ(found["figures"].size(), 5U);
  EXPECT_EQ(found["figures"][1]["views"].size(), 3U);
}

TEST_F(Browser, AnInspection) {
  put("inspect.json", sample_inspection());
  const json found = opened();
  expect_sound(found);
  expect_charts(found);
  expect_csvs(found);
  EXPECT_EQ(found["token"], "token 3, “s”: 8.384 nats, probability 0.000228");
  EXPECT_TRUE(found["next"].get<std::string>().starts_with("token 4, “t”: ")) << found["next"];
}

TEST_F(Browser, Claims) {
  put("claims.json", sample_claims());
  const json found = opened();
  expect_sound(found);
  expect_charts(found);
  expect_csvs(found);
}

TEST_F(Browser, EffectsInTwoUnitsAndOverManyPowersOfTen) {
  json file = sample_claims();
  json& parts = file["claims"][1]["parts"];
  const json difference = parts[0];
  // A view of "inconclusive" and "fails", one of "fails" only: it has no legend.
  for (const double effect : {1e-12, 1e-8, 1e-5}) {
    json part = difference;
    part.update({{"kind", "ratio"},
                 {"verdict", "fails"},
                 {"measure", "lag_gradient"},
                 {"threshold", 1},
                 {"effect", effect},
                 {"low", effect / 100},
                 {"high", effect * 100}});
    part["statement"] = "no larger than " + part["effect"].dump();
    parts.push_back(part);
  }
  put("claims.json", file);
  const json found = opened();
  expect_sound(found);
  expect_charts(found);
  expect_csvs(found);
  ASSERT_EQ(found["figures"].size(), 2U);
  const json& views = found["figures"][1]["views"];
  ASSERT_EQ(views.size(), 2U);
  EXPECT_EQ(views[0]["scale"], "linear");
  EXPECT_EQ(views[1]["scale"], "logarithmic");
  ASSERT_EQ(views[1]["places"].size(), 3U);
  EXPECT_GT(views[1]["places"][1].get<int>() - views[1]["places"][0].get<int>(), 100);
  EXPECT_GT(views[1]["places"][2].get<int>() - views[1]["places"][1].get<int>(), 100);
}

TEST_F(Browser, AllOnAPhone) {
  put("results.json", sample_results({"unit=glu", "unit=gtu", "unit=tanh"}));
  put("inspect.json", sample_inspection());
  put("claims.json", sample_claims());
  const json found = opened(360, 740);
  EXPECT_LT(found["width"][0], 600);
  expect_sound(found);
  expect_charts(found);
}

TEST_F(Browser, AHundredRunsOfAThousandPoints) {
  std::vector<std::string> names;
  for (int i = 0; i < 11; ++i) names.push_back("dim=" + std::to_string(16 + i));
  json results = sample_results(names, 1000);
  int number = 0;
  for (const json& run : results["runs"]) {
    put_history(run["run"], 1.6 + 0.01 * number++, 1000);
  }
  results["runs"].push_back(results["runs"][0]);
  put("results.json", results);
  const json found = opened();
  expect_sound(found);
  const json& every_run = found["figures"][1]["views"][2];
  EXPECT_EQ(every_run["id"], "loss-tokens-runs");
  EXPECT_EQ(every_run["points"], 100000);
  EXPECT_GT(every_run["colors"], 100);
}

}  // namespace
}  // namespace sluice::browser_test
