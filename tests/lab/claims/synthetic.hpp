#pragma once
// Claims on made-up runs, whose truth is known.

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "sluice/lab/claims/decisions.hpp"

namespace sluice::lab_test {

using Values = std::vector<double>;
using Random = std::mt19937_64;

inline double normal(Random& random) { return std::normal_distribution<double>()(random); }
inline bool chance(Random& random, double p) { return std::bernoulli_distribution(p)(random); }

/// Both sides of one part with one seed.
using Draw = std::function<std::pair<double, double>(Random&, std::int64_t seed)>;

struct SyntheticPart {
  PartTerms terms;
  Draw draw;
};

/// A claim of made-up runs that is judged as `sluice claims run --until-decided` judges: every part
/// at every look of the plan until it is decided, all until the claim is.
inline ClaimVerdict decide(const std::vector<SyntheticPart>& parts, const LookPlan& looks,
                           Random& random) {
  std::vector<ClaimVerdict> verdicts(parts.size(), ClaimVerdict::inconclusive);
  std::vector<Values> a(parts.size());
  std::vector<Values> b(parts.size());
  for (std::size_t look = 0; look < looks.count(); ++look) {
    for (std::size_t p = 0; p < parts.size(); ++p) {
      while (static_cast<std::int64_t>(a[p].size()) < looks.seeds[look]) {
        const auto [of_a, of_b] = parts[p].draw(random, static_cast<std::int64_t>(a[p].size()));
        a[p].push_back(of_a);
        b[p].push_back(of_b);
      }
      if (verdicts[p] != ClaimVerdict::inconclusive) continue;
      PartTerms terms = parts[p].terms;
      terms.parts = parts.size();
      verdicts[p] = judge_values(terms, a[p], b[p], looks.confidence(look)).verdict;
    }
    if (combine(verdicts) != ClaimVerdict::inconclusive) break;
  }
  return combine(verdicts);
}

}  // namespace sluice::lab_test
