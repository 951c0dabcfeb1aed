#pragma once
// Running claims: their comparisons, what is measured on them, and the verdicts (docs/claims.md).

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sluice/lab/claims/claims.hpp"
#include "sluice/lab/compare/compare.hpp"

namespace sluice {

/// claims.json's format version this library writes.
inline constexpr int claims_format_version = 1;

/// What claims are run on, and where.
struct ClaimRequest {
  std::vector<std::filesystem::path> data;
  /// An existing directory whose lock the caller holds. All claims share its runs.
  std::filesystem::path out;
  /// Instead of the claims' own; 0: as they say.
  std::int64_t seeds = 0;
  /// Of each run; 0: 1. Runs at the same time; 0: as many as have cores.
  std::int64_t threads = 0;
  std::int64_t jobs = 0;
};

/// Any may be empty. What they throw ends the claim.
struct ClaimCallbacks {
  /// Called before a comparison's first run.
  std::function<void(const Claim&, const ClaimComparison&, const Comparison&)> planned;
  CompareCallbacks compare;
  /// Called before each measurement: the fraction of those that are done, and what is measured.
  std::function<void(double fraction, const std::string& what)> measuring;
};

/// The comparison as it would be run: text prepared, sizes matched, nothing trained, with as
/// many seeds as `comparison` has. Throws as Comparison does, UsageErrors naming claim and
/// comparison.
std::unique_ptr<Comparison> plan_comparison(const Claim& claim, const ClaimComparison& comparison,
                                            const ClaimRequest& request,
                                            const ClaimCallbacks& callbacks = {},
                                            const std::atomic<int>* stop = nullptr);

/// Trains what a claim asks for, writes each comparison's results.json and runs.csv (into
/// OUT/NAME, or OUT/NAME/COMPARISON when there are several), measures, and returns the claim's
/// element of claims.json, less "command". None when *stop ended it: runs so far are kept, and the
/// same call continues.
std::optional<nlohmann::json> run_claim(const Claim& claim, const ClaimRequest& request,
                                        const ClaimCallbacks& callbacks = {},
                                        const std::atomic<int>* stop = nullptr);

/// Throws UsageError when OUT/claims.json has verdicts on another text, or of full runs when these
/// are quick, or the other way about: they would be lost.
void check_claim_results(const ClaimRequest& request, bool quick);

/// Puts a claim's element into OUT/claims.json, instead of an earlier one of that name; keeps those
/// of other claims that were run with this version on the same data, quick or not as this one.
void add_claim_result(const ClaimRequest& request, bool quick, const nlohmann::json& element);

/// "GTU learns more than tanh: holds, 0.052 nats per token (0.031 to 0.074), n = 5".
std::string part_sentence(const nlohmann::json& part);
/// The verdict and its parts, a line each.
std::string format_claim(const nlohmann::json& element);

}  // namespace sluice
