#pragma once
// The report: one HTML file that shows what a comparison, an inspection or claims came to, without
// the network, and the numbers of each of its charts and tables as CSV.

#include <filesystem>
#include <string>

#include "sluice/base/api.hpp"
#include "sluice/lab/claims/claim_results.hpp"
#include "sluice/lab/compare/results.hpp"
#include "sluice/lab/inspect/inspection.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What a report is made of; what is null is left out.
struct ReportParts {
  const Results* results = nullptr;
  const Inspection* inspection = nullptr;
  const ClaimResults* claims = nullptr;
};

/// The page. Throws Error when there is nothing to report on.
std::string report_html(const ReportParts& parts);

/// Writes `directory`/report.html from those of results.json (with the histories in runs/),
/// inspect.json and claims.json that are there, and `directory`/report/NAME.csv for each of its
/// charts and tables; other .csv files in report/ are removed. Directories that claims name are
/// reported on likewise, and linked: those below `directory` that hold a results.json or an
/// inspect.json, one level deep. Every file is replaced atomically. Throws Error when none of the
/// three is there, when one cannot be read or is not as documented (naming it, and what to do), or
/// when a file cannot be written.
void write_report(const std::filesystem::path& directory);

}  // namespace sluice
SLUICE_API_END
