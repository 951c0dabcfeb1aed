#pragma once
// A directory of the laboratory's results: the one home of its files' names.

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The files of a directory that a comparison, an inspection or claims wrote. A value: it holds a
/// path, and nothing is read or written. Methods are safe to call from any thread.
class LabDirectory {
 public:
  static constexpr const char* results_name = "results.json";
  static constexpr const char* run_table_name = "runs.csv";
  static constexpr const char* inspection_name = "inspect.json";
  static constexpr const char* claims_name = "claims.json";
  static constexpr const char* report_name = "report.html";
  /// Directories: of the report's tables, of runs, and of what claims measured of runs.
  static constexpr const char* report_tables_name = "report";
  static constexpr const char* runs_name = "runs";
  static constexpr const char* measured_name = "measured";
  /// Behind the name of a run: its files were damaged and were put aside, perhaps with a number.
  static constexpr const char* damaged_mark = ".damaged";
  /// Tables of an inspection.
  static constexpr const char* layers_name = "layers.csv";
  static constexpr const char* lags_name = "lags.csv";
  static constexpr const char* context_name = "context.csv";
  static constexpr const char* surprisal_name = "surprisal.csv";
  /// In report/: the names of the tables that were written there.
  static constexpr const char* report_list_name = "files.json";
  /// In a run's directory, beside what ModelDirectory names: what came of the run.
  static constexpr const char* run_record_name = "run.json";

  explicit LabDirectory(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  /// What came of a comparison (lab/compare/results.hpp), and its runs as a table.
  std::filesystem::path results_file() const { return path_ / results_name; }
  std::filesystem::path run_table_file() const { return path_ / run_table_name; }
  /// What an inspection found (lab/inspect/inspection.hpp).
  std::filesystem::path inspection_file() const { return path_ / inspection_name; }
  /// What came of claims (lab/claims/claim_results.hpp).
  std::filesystem::path claims_file() const { return path_ / claims_name; }
  /// The page of all of these, and the directory of its tables (lab/report/report.hpp).
  std::filesystem::path report_file() const { return path_ / report_name; }
  std::filesystem::path report_tables() const { return path_ / report_tables_name; }

  /// The directories of runs, and that of the run `hash`.
  std::filesystem::path runs() const { return path_ / runs_name; }
  std::filesystem::path run(std::string_view hash) const { return runs() / hash; }
  /// What claims measured of the run `hash`.
  std::filesystem::path measured_file(const std::string& hash) const {
    return path_ / measured_name / (hash + ".json");
  }

 private:
  std::filesystem::path path_;
};

}  // namespace sluice
SLUICE_API_END
