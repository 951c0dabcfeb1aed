#pragma once
// What claims will cost, before they are run: runs, minutes, and the seeds that a decision will
// take if further seeds resemble those that are there.

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/lab/claims/claim_runs.hpp"
#include "sluice/lab/claims/decisions.hpp"

SLUICE_API_BEGIN
namespace sluice {

struct PartForecast {
  std::string statement;
  /// Seeds that it was forecast from; 0: there are no runs of it yet.
  std::int64_t pilot = 0;
  SeedForecast forecast;
};

struct ClaimPlan {
  std::string name, title;
  /// Runs that it takes, and those that are there.
  std::int64_t runs = 0, done = 0;
  /// Whether a search for rates that is still to come, or to go on, may add runs.
  bool at_least = false;
  /// Of what is not there yet, on the jobs asked for: measures and validations included where they
  /// are known. And where seeds are added until the last look.
  double seconds = 0, most_seconds = 0;
  /// Seeds at the first look and at the last.
  std::int64_t seeds = 0, most_seeds = 0;
  /// Whether seconds are from runs or from a few timed steps, not the author's estimate.
  bool measured = false;
  std::vector<PartForecast> parts;
};

/// How a plan finds out what a run takes.
enum class PlanTiming : std::uint8_t {
  /// From runs that are there, else from the claim's own estimate.
  known,
  /// Variants without a run are trained for a few steps, a second or so each.
  measured
};

/// Plans a claim. The text is prepared; no run is trained, and nothing but the cache (and measures
/// of runs that are there) is written. Throws as plan_comparison() does, MeasuringStopped when
/// *stop ended it.
ClaimPlan plan_claim(const Claim& claim, const ClaimRequest& request, PlanTiming timing,
                     const ClaimCallbacks& callbacks = {}, const std::atomic<int>* stop = nullptr);

/// One claim in a line, and a line for each part that a forecast is there for.
std::string format_plan(const ClaimPlan& plan, bool until_decided);
/// Runs and minutes of all.
std::string format_plans(const std::vector<ClaimPlan>& plans, bool until_decided);

}  // namespace sluice
SLUICE_API_END
