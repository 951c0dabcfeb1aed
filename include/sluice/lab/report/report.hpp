#pragma once
// The report: one HTML file that shows what a comparison, an inspection or claims came to, without
// the network, and the numbers of each of its charts and tables as CSV.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace sluice {

/// The page made of the objects of results.json, inspect.json and claims.json (docs/formats.md),
/// each null when there is none. An element of results["runs"] may hold its history as "curves":
/// {"train", "validation"}, each {"tokens", "seconds", "loss"}, lists of one length; it is drawn
/// when there. Throws Error naming the file ("results.json") that is not as documented or of a
/// newer format, and what to do; or when all three are null.
std::string report_html(const nlohmann::json& results, const nlohmann::json& inspection,
                        const nlohmann::json& claims);

/// Writes `directory`/report.html from those of results.json (with the histories in runs/),
/// inspect.json and claims.json that are there, and `directory`/report/NAME.csv for each of its
/// charts and tables; other .csv files in report/ are removed. Directories that claims name are
/// reported on likewise, and linked. Every file is replaced atomically. Throws Error when none of
/// the three is there, when one cannot be read (naming it, and what to do), or when a file cannot
/// be written.
void write_report(const std::filesystem::path& directory);

}  // namespace sluice
