// How many runs a claim takes, and how long each is.

#include <fmt/format.h>

#include "sluice/base/numbers.hpp"
#include "sluice/lab/claims/claims.hpp"
#include "sluice/training/defaults.hpp"

namespace sluice {
namespace {

/// A stand-in for the size of the text, which is not known.
constexpr std::int64_t any_text = std::int64_t{1} << 30;

/// "600,000", "60,000 to 600,000".
std::string range_text(const std::set<std::int64_t>& numbers) {
  return numbers.size() == 1
             ? grouped(*numbers.begin())
             : fmt::format("{} to {}", grouped(*numbers.begin()), grouped(*numbers.rbegin()));
}

}  // namespace

std::int64_t ClaimComparison::first_runs() const {
  const auto tried = static_cast<std::int64_t>(all_variants(vary).size() * rates.size());
  return tried * (search.pilots > 0 ? search.pilots : seeds);
}

std::int64_t ClaimComparison::runs() const {
  if (search.pilots == 0) return first_runs();
  const std::int64_t tried = search.least_rates(static_cast<std::int64_t>(rates.size()));
  return static_cast<std::int64_t>(all_variants(vary).size()) * (tried * search.pilots + seeds);
}

std::set<std::int64_t> ClaimComparison::steps() const {
  std::set<std::int64_t> steps;
  for (const Variant& variant : all_variants(vary)) {
    const VariantSettings settings = apply_variant({model, training}, variant);
    Notes ignored;
    steps.insert(choose_training(settings.training, any_text, ignored).total_steps(1));
  }
  return steps;
}

std::string ClaimBudget::text() const {
  const bool one = steps.size() == 1 && *steps.begin() == 1;
  return fmt::format("{}{} run{} of {} tokens ({} step{})", at_least ? "at least " : "", runs,
                     runs == 1 ? "" : "s", range_text(tokens), range_text(steps), one ? "" : "s");
}

ClaimBudget Claim::budget() const {
  ClaimBudget budget;
  for (const ClaimComparison& comparison : comparisons) {
    budget.runs += comparison.runs();
    budget.at_least = budget.at_least || comparison.search.pilots > 0;
    budget.tokens.insert(comparison.tokens());
    budget.steps.merge(comparison.steps());
  }
  return budget;
}

}  // namespace sluice
