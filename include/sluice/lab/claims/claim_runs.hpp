#pragma once
// Running claims: their comparisons, what is measured on them, and the verdicts (docs/claims.md).

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/lab/claims/claim_results.hpp"
#include "sluice/lab/claims/claims.hpp"
#include "sluice/lab/claims/decisions.hpp"
#include "sluice/lab/compare/compare.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What claims are run on, and where.
struct ClaimRequest {
  std::vector<std::filesystem::path> data = {};
  /// An existing directory whose lock the caller holds. All claims share its runs.
  std::filesystem::path out = {};
  /// Overrides the number of seeds of the claims; 0: leaves it.
  std::int64_t seeds = 0;
  /// Whether seeds are added, from that number to Claim::most_seeds, to the runs that undecided
  /// parts read, until every part is decided (plan_looks()), and the minutes of run_claim() after
  /// which it adds no more to a claim; 0: any.
  bool until_decided = false;
  double minutes = 0;
  /// Threads per run (0: 1), and runs at the same time (0: as many as the cores allow).
  std::int64_t threads = 0;
  std::int64_t jobs = 0;
  /// Processes of which the others than this one call help_claims(); null: none.
  Communicator* helpers = nullptr;
};

/// Any may be empty. An exception from one of them ends the claim.
struct ClaimCallbacks {
  /// Called before a comparison's first run.
  std::function<void(const Claim&, const ClaimComparison&, const Comparison&)> planned;
  CompareCallbacks compare;
  /// Called before each measurement with the fraction done and what is measured next.
  std::function<void(double fraction, const std::string& what)> measuring;
};

/// The claim with so many seeds in each comparison; as it is for 0.
Claim with_seeds(Claim claim, std::int64_t seeds);

/// When the parts that read `comparison` are judged.
LookPlan claim_looks(const Claim& claim, const ClaimComparison& comparison,
                     const ClaimRequest& request);

/// Plans a comparison as it would be run, with the seeds of `comparison`: the text is prepared and
/// sizes are matched, but nothing is trained. Throws as Comparison does; UsageErrors name the claim
/// and the comparison.
std::unique_ptr<Comparison> plan_comparison(const Claim& claim, const ClaimComparison& comparison,
                                            const ClaimRequest& request,
                                            const ClaimCallbacks& callbacks = {},
                                            const std::atomic<int>* stop = nullptr);

/// Trains the runs of a claim, with `until_decided` look by look, writes each comparison's
/// results.json and runs.csv (into OUT/NAME, or OUT/NAME/COMPARISON when there are several),
/// measures, and returns what came of it, without a command. None when *stop ended it: runs so far
/// are kept, and the same call continues. Throws UsageError where seeds are to be added to a
/// comparison whose rates these seeds choose.
std::optional<ClaimResult> run_claim(const Claim& claim, const ClaimRequest& request,
                                     const ClaimCallbacks& callbacks = {},
                                     const std::atomic<int>* stop = nullptr);

/// In all processes of request.helpers but the first: trains runs for the claims that the first one
/// runs, which must be among `claims`, until it calls dismiss_helpers(), whose status it returns.
int help_claims(const std::vector<Claim>& claims, const ClaimRequest& request,
                const std::atomic<int>* stop = nullptr);
void dismiss_helpers(Communicator& helpers, int status);

/// Throws UsageError when OUT/claims.json has verdicts on another text, or of full runs when these
/// are quick or vice versa: they would be lost.
void check_claim_results(const ClaimRequest& request, bool quick);

/// Puts a claim's result into OUT/claims.json, in place of an earlier one of that name; keeps those
/// of other claims that were run with this version on the same data, quick or not as this one.
/// Returns all that it holds now.
ClaimResults add_claim_result(const ClaimRequest& request, bool quick, const ClaimResult& result);

}  // namespace sluice
SLUICE_API_END
