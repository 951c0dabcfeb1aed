#include "sluice/lab/report/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "report/report_page.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/lab/compare/run.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr const char* results_name = "results.json";
constexpr const char* inspection_name = "inspect.json";
constexpr const char* claims_name = "claims.json";

/// The file in `directory` as `parse` reads it; nothing when there is none.
template <class S>
std::optional<S> read_part(const fs::path& directory, const char* file,
                           S (*parse)(std::string_view, const std::string&)) {
  const fs::path path = directory / file;
  if (!fs::exists(path)) return std::nullopt;
  return parse(read_file(path), path.string());
}

/// All that a page is made of.
struct Reported {
  std::optional<report::ReportedResults> results;
  std::optional<Inspection> inspection;
  std::optional<report::ReportedClaims> claims;

  bool empty() const { return !results && !inspection && !claims; }
};

report::Page make_page(const Reported& reported) {
  report::Page page;
  if (reported.claims) report::add_claims(page, *reported.claims);
  if (reported.results) report::add_comparison(page, *reported.results);
  if (reported.inspection) report::add_inspection(page, *reported.inspection);
  return page;
}

/// Where a run's history is: in runs/ beside the results, or, of a claim's comparison, one or two
/// directories above.
fs::path run_directory(const fs::path& directory, const std::string& hash) {
  for (const char* place : {"runs", "../runs", "../../runs"}) {
    if (fs::exists(directory / place / hash)) return directory / place / hash;
  }
  return directory / "runs" / hash;
}

/// The results with the histories of their runs.
report::ReportedResults with_histories(Results results, const fs::path& directory) {
  report::ReportedResults reported{.results = std::move(results), .histories = {}, .missing = {}};
  for (const RunResult& run : reported.results.runs) {
    reported.histories.emplace_back();
    const VariantResult* const variant = reported.results.find_variant(run.variant);
    try {
      reported.histories.back() =
          read_curves(run_directory(directory, run.run), variant->tokens_per_step());
    } catch (const Error& error) {
      reported.missing.emplace_back(error.what());
    }
  }
  return reported;
}

/// Whether `name`, relative to a directory, is a place below it and not that directory itself.
bool is_below(const fs::path& name) {
  const fs::path normal = name.lexically_normal();
  return !normal.empty() && normal.is_relative() && normal != "." && normal != "./" &&
         *normal.begin() != "..";
}

/// Writes a report on a directory that holds no claims, or whose claims are not to be followed.
void write_page(const fs::path& directory, const Reported& reported);

Reported read_reported(const fs::path& directory) {
  Reported reported;
  if (auto results = read_part<Results>(directory, results_name, parse_results)) {
    reported.results = with_histories(std::move(*results), directory);
  }
  reported.inspection = read_part<Inspection>(directory, inspection_name, parse_inspection);
  return reported;
}

/// Reports on the comparisons that a claim was decided by.
report::ReportedClaims::Directories report_directories(const ClaimResult& claim,
                                                       const fs::path& directory) {
  report::ReportedClaims::Directories directories;
  for (const std::string& name : claim.directories) {
    if (!is_below(name)) continue;
    try {
      const Reported reported = read_reported(directory / name);
      if (reported.empty()) continue;
      write_page(directory / name, reported);
      directories.found.push_back(name);
    } catch (const Error& error) {
      directories.unread.emplace_back(error.what());
    }
  }
  return directories;
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

void write_page(const fs::path& directory, const Reported& reported) {
  const report::Page page = make_page(reported);
  write_csvs(directory / "report", page);
  write_file(directory / "report.html", page.html());
}

}  // namespace

std::string report_html(const ReportParts& parts) {
  Reported reported;
  if (parts.results) reported.results = {.results = *parts.results, .histories = {}, .missing = {}};
  if (parts.inspection) reported.inspection = *parts.inspection;
  if (parts.claims) reported.claims = {.results = *parts.claims, .directories = {}};
  if (reported.empty()) throw Error("report: there is nothing to report on");
  return make_page(reported).html();
}

void write_report(const fs::path& directory) {
  Reported reported = read_reported(directory);
  if (auto claims = read_part<ClaimResults>(directory, claims_name, parse_claim_results)) {
    reported.claims = {.results = std::move(*claims), .directories = {}};
    for (const ClaimResult& claim : reported.claims->results.claims) {
      reported.claims->directories.push_back(report_directories(claim, directory));
    }
  }
  if (reported.empty()) {
    throw Error(
        fmt::format("'{}' has no results.json, inspect.json or claims.json: give a directory that "
                    "sluice compare, inspect or claims wrote",
                    directory.string()));
  }
  write_page(directory, reported);
}

}  // namespace sluice
