#pragma once
// What a claim's parts are about: the sides' runs in trained comparisons, and what is measured on
// them.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sluice/lab/claims/claim_results.hpp"
#include "sluice/lab/claims/claims.hpp"
#include "sluice/lab/claims/decisions.hpp"
#include "sluice/lab/claims/measures.hpp"

namespace sluice {

/// Some of a comparison's runs: a variant at one of its rates, each by its number.
using ClaimArms = std::set<std::pair<std::size_t, std::size_t>>;

/// The comparisons of a claim, and the values of its parts. It refers to the claim and to
/// `measuring`.
class ClaimValues {
 public:
  ClaimValues(const Claim& claim, Measuring& measuring) : claim_(claim), measuring_(measuring) {}

  void add(const std::string& name, std::unique_ptr<Comparison> comparison) {
    comparisons_.emplace(name, std::move(comparison));
  }
  /// A comparison that was added.
  Comparison& comparison(const std::string& name) const { return *comparisons_.at(name); }

  /// Which runs of a comparison the part reads.
  ClaimArms arms(const ClaimPart& part, const std::string& comparison) const;

  /// What is claimed, of which sides, and the measure of each seed that all runs which the part
  /// reads have; no effect and no verdict yet. These runs must be there. Throws MeasuringStopped.
  PartResult values(const ClaimPart& part);
  /// Adds the effect and the verdict at `look`.
  void judge(PartResult& result, const LookPlan& looks, std::size_t look) const;
  /// Adds what other text might have shown, where the measure is a mean over tokens. Throws
  /// MeasuringStopped.
  void add_text(PartResult& result, const ClaimPart& part);

 private:
  std::vector<std::size_t> variants_of(const ClaimSelection& selection) const;
  const Comparison& of(const ClaimSelection& selection) const {
    return comparison(selection.comparison);
  }
  std::size_t rate_number(const ClaimSelection& selection, std::size_t variant) const;
  double rate_of(const ClaimSelection& selection, std::size_t variant) const {
    return of(selection).variants()[variant].rates.at(rate_number(selection, variant));
  }
  std::vector<std::uint64_t> seeds_of(const ClaimPart& part) const;
  MeasuredRun run_of(const ClaimSelection& selection, std::size_t variant,
                     std::uint64_t seed) const;
  double value(const Measure& measure, const ClaimPart& part, const ClaimSelection& selection,
               std::uint64_t seed);
  double value(const Measure& measure, const ClaimPart& part, const ClaimSide& side,
               std::uint64_t seed);
  std::vector<double> blocks(const Measure& measure, const ClaimSelection& selection,
                             const std::vector<std::uint64_t>& seeds);
  PartResult described(const ClaimPart& part, const Measure& measure) const;
  SideRates rates_of_side(const ClaimSelection& selection) const;

  const Claim& claim_;
  Measuring& measuring_;
  std::map<std::string, std::unique_ptr<Comparison>> comparisons_;
};

/// What a part's result says of how it is judged, in a claim of `parts` parts.
PartTerms terms_of(const PartResult& result, std::size_t parts);

/// PartResult::seeds_to_tell, as its other fields say.
std::optional<std::int64_t> seeds_to_tell(const PartResult& part, std::size_t parts);

}  // namespace sluice
