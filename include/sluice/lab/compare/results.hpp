#pragma once
// What came of a comparison: results.json, runs.csv (docs/formats.md), and a table for people.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sluice/lab/compare/compare.hpp"

namespace sluice {

/// results.json's format version this library writes.
inline constexpr int results_format_version = 1;

/// All of a comparison whose runs are done. Curves are read from the runs' directories.
nlohmann::json results_of(const Comparison& comparison);

/// One line per run, from results.json's object.
std::string runs_csv(const nlohmann::json& results);

/// Replaces results.json and runs.csv in `directory`.
void write_results(const std::filesystem::path& directory, const nlohmann::json& results);

/// The variants, the pairs with their verdicts and what the search for learning rates cost, as
/// text.
std::string format_results(const nlohmann::json& results);

/// The verdict on an element of results["pairs"]: "unit=glu is better than unit=tanh: difference
/// -0.0312 (-0.0414 to -0.0210), p = 0.0012 after Holm's correction".
std::string pair_sentence(const nlohmann::json& pair);

}  // namespace sluice
