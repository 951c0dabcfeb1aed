#include "sluice/lab/report/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "own_directory.hpp"
#include "report/report_page.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/file.hpp"
#include "sluice/lab/compare/run.hpp"
#include "sluice/lab/lab_directory.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// The file as `parse` reads it; nothing when there is none.
template <class S>
std::optional<S> read_part(const fs::path& file, S (*parse)(std::string_view, const std::string&)) {
  if (!is_there(file)) return std::nullopt;
  return parse(read_file(file, most_json_bytes), file.string());
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
  for (const char* above : {"", "..", "../.."}) {
    fs::path run = LabDirectory(directory / above).run(hash);
    if (is_there(run)) return run;
  }
  return LabDirectory(directory).run(hash);
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
      rethrow_if_refused(error);
      reported.missing.emplace_back(error.what());
    }
  }
  return reported;
}

/// Whether `name`, relative to `directory`, is a place below it and not that directory itself,
/// wherever links lead.
bool is_below(const fs::path& name, const fs::path& directory) {
  if (!name.is_relative()) return false;
  std::error_code missing;
  const fs::path home = fs::canonical(directory, missing);
  const fs::path place = fs::canonical(directory / name, missing);
  if (missing || place == home) return false;
  return std::mismatch(home.begin(), home.end(), place.begin(), place.end()).first == home.end();
}

/// Writes a report on a directory that holds no claims, or whose claims are not to be followed.
void write_page(const fs::path& directory, const Reported& reported);

Reported read_reported(const fs::path& directory) {
  const LabDirectory files(directory);
  Reported reported;
  if (auto results = read_part<Results>(files.results_file(), parse_results)) {
    reported.results = with_histories(std::move(*results), directory);
  }
  reported.inspection = read_part<Inspection>(files.inspection_file(), parse_inspection);
  return reported;
}

/// Reports on the comparisons that a claim was decided by.
report::ReportedClaims::Directories report_directories(const ClaimResult& claim,
                                                       const fs::path& directory) {
  report::ReportedClaims::Directories directories;
  for (const std::string& name : claim.directories) {
    if (!is_below(name, directory)) continue;
    try {
      const Reported reported = read_reported(directory / name);
      if (reported.empty()) continue;
      write_page(directory / name, reported);
      directories.found.push_back(name);
    } catch (const Error& error) {
      rethrow_if_refused(error);
      directories.unread.emplace_back(error.what());
    }
  }
  return directories;
}

/// What an earlier report wrote; nothing when that is not known.
std::vector<std::string> earlier_csvs(const fs::path& list) {
  std::vector<std::string> names;
  if (!fs::exists(fs::symlink_status(list))) return names;
  const FieldPlace place{fmt::format("'{}'", list.string()), FieldPlace::Origin::file};
  try {
    const Value listed = parse_json(read_file(list, most_json_bytes), place);
    for (const Value& name : fields_detail::read_list(listed, place)) {
      names.push_back(fields_detail::read_text(name, place));
    }
  } catch (const Error& error) {
    rethrow_if_refused(error);
    names.clear();
  }
  return names;
}

/// Writes the CSVs, and removes those of an earlier report that are not among them. What else is in
/// the directory stays.
void write_csvs(const fs::path& directory, const report::Page& page) {
  make_own_directory(directory, 1);
  Value::List written;
  for (const auto& [name, text] : page.files()) written.emplace_back(name + ".csv");
  const fs::path list = directory / LabDirectory::report_list_name;
  for (const std::string& name : earlier_csvs(list)) {
    const bool kept = std::find(written.begin(), written.end(), Value(name)) != written.end();
    if (!kept && is_plain_name(name) && name.ends_with(".csv")) fs::remove(directory / name);
  }
  write_file(list, json_text(written) + "\n");
  for (const auto& [name, text] : page.files()) write_file(directory / (name + ".csv"), text);
}

void write_page(const fs::path& directory, const Reported& reported) {
  const LabDirectory files(directory);
  const report::Page page = make_page(reported);
  write_csvs(files.report_tables(), page);
  write_file(files.report_file(), page.html());
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
  if (!is_there(directory)) throw Error(fmt::format("'{}' does not exist", directory.string()));
  Reported reported = read_reported(directory);
  if (auto claims =
          read_part<ClaimResults>(LabDirectory(directory).claims_file(), parse_claim_results)) {
    reported.claims = {.results = std::move(*claims), .directories = {}};
    for (const ClaimResult& claim : reported.claims->results.claims) {
      reported.claims->directories.push_back(report_directories(claim, directory));
    }
  }
  if (reported.empty()) {
    throw Error(
        fmt::format("'{}' has no {}, {} or {}: give a directory that a comparison, an inspection "
                    "or a run of claims wrote",
                    directory.string(), LabDirectory::results_name, LabDirectory::inspection_name,
                    LabDirectory::claims_name));
  }
  write_page(directory, reported);
}

}  // namespace sluice
