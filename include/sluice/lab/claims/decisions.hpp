#pragma once
// Deciding claims while their seeds come in: at which numbers of seeds to look, how sure each look
// must be, and what to expect of further seeds.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/lab/claims/verdicts.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The numbers of seeds at which a part is judged, fixed before the first is trained, and the error
/// that each look may spend.
///
/// Intervals are right at every look together, and so whatever look ends it: with error α_k spent
/// at look k and Σ α_k = α, the probability that any of the intervals at 1 - α_k misses the truth
/// is at most α (Bonferroni's inequality over looks: repeated confidence intervals, Jennison &
/// Turnbull 1989). α_k = α (n_k - n_{k-1}) / n_K, the linear spending function of Lan & DeMets
/// 1983. No joint distribution of the looks is assumed, so this holds for every interval that is
/// right at one look: Student's, those of shares, those of medians.
struct LookPlan {
  /// Ascending.
  std::vector<std::int64_t> seeds;
  /// Sums to 1 - default_confidence.
  std::vector<double> alpha;

  std::size_t count() const { return seeds.size(); }
  double confidence(std::size_t look) const { return 1 - alpha.at(look); }
};

/// All error at one look.
LookPlan one_look(std::int64_t seeds);
/// Looks at `first` seeds, each one after at half as many again (rounded up), the last at `most`;
/// one look where `most` is not above `first`.
LookPlan plan_looks(std::int64_t first, std::int64_t most);
/// Looks at these numbers of seeds, ascending from 1 on.
LookPlan looks_at(std::vector<std::int64_t> seeds);

/// What a part claims of an effect and how that is told, stated before its runs.
struct PartTerms {
  EffectKind kind = EffectKind::difference;
  Statistic statistic = Statistic::mean;
  Expect expect = Expect::less;
  double threshold = 0;
  /// Effects nearer to none than this are as good as none.
  std::optional<double> bound = {};
  /// Parts of the claim.
  std::size_t parts = 1;
};

struct Judgement {
  Effect effect;
  ClaimVerdict verdict = ClaimVerdict::inconclusive;
};

/// The verdict at an interval's confidence. Throws as effect_of() does.
Judgement judge_values(const PartTerms& terms, std::span<const double> a, std::span<const double> b,
                       double confidence = default_confidence);

/// The least error at which the values still give `verdict`: its p-value, before any correction for
/// looks; 1 when they do not at default_confidence, or the verdict is inconclusive.
double verdict_p(const PartTerms& terms, ClaimVerdict verdict, std::span<const double> a,
                 std::span<const double> b);

/// What further seeds would tell if they resembled those of a pilot.
struct SeedForecast {
  /// Whether there is one: of a pilot of two values at least, all of them finite.
  bool known = false;
  ClaimVerdict verdict = ClaimVerdict::inconclusive;
  /// The first look that gives the verdict with a probability of about 80%; 0: none does.
  std::int64_t seeds = 0;
  /// The same if values spread as much as the upper end of an 80% interval of their deviation says
  /// (a χ² quantile), few seeds telling little about that; 0: no look.
  std::int64_t cautious = 0;
};

/// The forecast from a pilot's values, without the pilot's share in them: `looks` count seeds from
/// their first. Throws Error when the lengths differ, or a share's value is neither 0 nor 1.
SeedForecast forecast(const PartTerms& terms, const LookPlan& looks, std::span<const double> a,
                      std::span<const double> b);

}  // namespace sluice
SLUICE_API_END
