#include "sluice/lab/report/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "report/report_page.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/json.hpp"
#include "sluice/lab/claims/claim_runs.hpp"
#include "sluice/lab/compare/results.hpp"
#include "sluice/lab/compare/run.hpp"
#include "sluice/lab/inspect/inspect.hpp"

namespace sluice {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// A file that a report is made of: its name, the newest format that is known here, and the command
/// that writes it.
struct Source {
  const char* file;
  int format_version;
  const char* command;
  void (*add)(report::Page&, const json&);
};

constexpr Source results_source = {"results.json", results_format_version, "sluice compare",
                                   report::add_comparison};
constexpr Source inspection_source = {"inspect.json", inspect_format_version, "sluice inspect",
                                      report::add_inspection};
constexpr Source claims_source = {"claims.json", claims_format_version, "sluice claims run",
                                  report::add_claims};

/// Adds what `object` has to show. Throws Error about `name`, the file as the user knows it.
void add_source(report::Page& page, const Source& source, const json& object,
                const std::string& name) {
  if (object.is_null()) return;
  const auto damaged = [&](const std::string& what) {
    return Error(
        fmt::format("'{}' is damaged ({}): write it again with the {} command that made it", name,
                    what, source.command));
  };
  try {
    const auto version = object.at("format_version").get<int>();
    if (version > source.format_version || version < 1) {
      throw Error(
          fmt::format("'{}' has format {}, and this version of Sluice reads formats up to {}: read "
                      "it with the version that wrote it, or write it again with {}",
                      name, version, source.format_version, source.command));
    }
    source.add(page, object);
  } catch (const json::exception& error) {
    // Without the library's "[json.exception..] ".
    const std::string what = error.what();
    throw damaged(what.substr(what.find("] ") + 2));
  }
}

/// The page; names[i] says where the three objects are from.
report::Page make_page(const json& results, const json& inspection, const json& claims,
                       const std::array<std::string, 3>& names) {
  if (results.is_null() && inspection.is_null() && claims.is_null()) {
    throw Error("report: there is nothing to report on");
  }
  report::Page page;
  add_source(page, claims_source, claims, names[2]);
  add_source(page, results_source, results, names[0]);
  add_source(page, inspection_source, inspection, names[1]);
  return page;
}

json read_json(const fs::path& directory, const Source& source) {
  const fs::path path = directory / source.file;
  if (!fs::exists(path)) return {};
  json object = json_or_null(read_file(path));
  if (!object.is_object()) {
    throw Error(fmt::format(
        "'{}' is damaged (no JSON object): write it again with the {} command that made "
        "it",
        path.string(), source.command));
  }
  return object;
}

json curve_json(const std::vector<CurvePoint>& points) {
  json tokens = json::array();
  json seconds = json::array();
  json loss = json::array();
  for (const CurvePoint& point : points) {
    tokens.push_back(point.tokens);
    seconds.push_back(point.seconds);
    loss.push_back(point.loss);
  }
  return {{"tokens", tokens}, {"seconds", seconds}, {"loss", loss}};
}

/// Where a run's history is: in runs/ beside the results, or, of a claim's comparison, one or two
/// directories above.
fs::path run_directory(const fs::path& directory, const std::string& hash) {
  for (const char* place : {"runs", "../runs", "../../runs"}) {
    if (fs::exists(directory / place / hash)) return directory / place / hash;
  }
  return directory / "runs" / hash;
}

/// Puts the histories of the runs into results["runs"]; those that cannot be read are noted in
/// results["missing_histories"].
void add_histories(json& results, const fs::path& directory) {
  std::map<std::string, std::int64_t> tokens_per_step;
  for (const json& variant : results.at("variants")) {
    const json& training = variant.at("training");
    tokens_per_step[variant.at("name")] =
        training.at("batch").get<std::int64_t>() * training.at("context").get<std::int64_t>();
  }
  json missing = json::array();
  for (json& run : results.at("runs")) {
    const auto hash = run.at("run").get<std::string>();
    const auto step = tokens_per_step.find(run.at("variant").get<std::string>());
    if (step == tokens_per_step.end()) continue;
    try {
      const RunCurves curves = read_curves(run_directory(directory, hash), step->second);
      run["curves"] = {{"train", curve_json(curves.train)},
                       {"validation", curve_json(curves.validation)}};
    } catch (const Error& error) {
      missing.push_back(error.what());
    }
  }
  if (!missing.empty()) results["missing_histories"] = missing;
}

/// Whether `name` is a place below the directory it is looked up in.
bool is_below(const fs::path& name) {
  return !name.empty() && name.is_relative() &&
         std::none_of(name.begin(), name.end(), [](const fs::path& part) { return part == ".."; });
}

/// Reports on the comparisons that claims were decided by. Leaves out of the claims' lists what
/// there is no report on; what cannot be read becomes a sentence in claim["unread"].
void report_directories(json& claims, const fs::path& directory) {
  for (json& claim : claims.at("claims")) {
    json found = json::array();
    json unread = json::array();
    for (const json& entry : claim.value("directories", json::array())) {
      const fs::path name = entry.get<std::string>();
      const fs::path place = directory / name;
      if (!is_below(name)) continue;
      if (!fs::exists(place / results_source.file) && !fs::exists(place / inspection_source.file)) {
        continue;
      }
      try {
        write_report(place);
        found.push_back(entry);
      } catch (const Error& error) {
        unread.push_back(error.what());
      }
    }
    claim["directories"] = found;
    claim["unread"] = unread;
  }
}

/// Writes the CSVs, and removes those of an earlier report that are not among them.
void write_csvs(const fs::path& directory, const report::Page& page) {
  fs::create_directories(directory);
  for (const auto& entry : fs::directory_iterator(directory)) {
    const bool kept = std::any_of(page.files().begin(), page.files().end(), [&](const auto& file) {
      return entry.path().filename() == file.first + ".csv";
    });
    if (!kept && entry.is_regular_file() && entry.path().extension() == ".csv")
      fs::remove(entry.path());
  }
  for (const auto& [name, text] : page.files()) write_file(directory / (name + ".csv"), text);
}

}  // namespace

std::string report_html(const json& results, const json& inspection, const json& claims) {
  return make_page(results, inspection, claims, {"results.json", "inspect.json", "claims.json"})
      .html();
}

void write_report(const fs::path& directory) {
  json results = read_json(directory, results_source);
  const json inspection = read_json(directory, inspection_source);
  json claims = read_json(directory, claims_source);
  if (results.is_null() && inspection.is_null() && claims.is_null()) {
    throw Error(
        fmt::format("'{}' has no results.json, inspect.json or claims.json: give a directory that "
                    "sluice compare, inspect or claims wrote",
                    directory.string()));
  }
  // What is not as documented is told by make_page().
  try {
    if (!results.is_null()) add_histories(results, directory);
    if (!claims.is_null()) report_directories(claims, directory);
  } catch (const json::exception&) {
  }
  const report::Page page =
      make_page(results, inspection, claims,
                {(directory / "results.json").string(), (directory / "inspect.json").string(),
                 (directory / "claims.json").string()});
  write_csvs(directory / "report", page);
  write_file(directory / "report.html", page.html());
}

}  // namespace sluice
