#include "sluice/lab/claims/decisions.hpp"

#include <algorithm>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <numbers>
#include <tuple>
#include <utility>

namespace sluice {
namespace {

/// Seeds of a look over those of the look before.
constexpr double look_growth = 1.5;
/// Of a forecast's verdict, and of the interval of a pilot's deviation.
constexpr double power = 0.8;
constexpr double least_p = 1e-12;

/// Middle and deviation of what the intervals of a pilot's part are of: a - b, or ln a - ln b.
struct Spread {
  double middle = 0, deviation = 0;
};

Spread spread_of(const PartTerms& terms, std::span<const double> a, std::span<const double> b) {
  std::vector<double> values(a.begin(), a.end());
  const auto scaled = [&](double x) { return terms.kind == EffectKind::ratio ? std::log(x) : x; };
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = scaled(values[i]) - (b.empty() ? 0 : scaled(b[i]));
  }
  // A median of normal values spreads more than their mean.
  const double loss = terms.statistic == Statistic::median ? std::sqrt(std::numbers::pi / 2) : 1.0;
  return {center(values, terms.statistic), loss * standard_deviation(values)};
}

/// The effect that `n` seeds would show, its interval so much wider that it shows it with `power`.
Effect foreseen(const PartTerms& terms, const Spread& spread, std::int64_t n, double confidence) {
  const double error = spread.deviation / std::sqrt(static_cast<double>(n));
  const double margin = boost::math::quantile(boost::math::normal(), power);
  const auto interval = [&](double sure) {
    const double half =
        (student_t_quantile((1 + sure) / 2, static_cast<std::size_t>(n - 1)) + margin) * error;
    return Interval{spread.middle - half, spread.middle + half};
  };
  Effect effect{.kind = terms.kind,
                .n = static_cast<std::size_t>(n),
                .effect = spread.middle,
                .interval = interval(confidence),
                .wide = interval(1 - (1 - confidence) / static_cast<double>(terms.parts))};
  if (terms.kind == EffectKind::ratio) {
    for (double* value : {&effect.effect, &effect.interval.low, &effect.interval.high,
                          &effect.wide.low, &effect.wide.high}) {
      *value = std::exp(*value);
    }
  }
  return effect;
}

/// 0s and 1s in the proportion of `values`.
std::vector<double> in_proportion(std::span<const double> values, std::int64_t n) {
  std::vector<double> out(values.empty() ? 0 : static_cast<std::size_t>(n), 0.0);
  if (out.empty()) return out;
  const auto ones = std::llround(mean(values) * static_cast<double>(n));
  std::fill_n(out.begin(), ones, 1.0);
  return out;
}

/// The first look at which `at` gives a verdict, and that verdict.
template <class At>
std::pair<std::int64_t, ClaimVerdict> first_verdict(const LookPlan& looks, const At& at) {
  for (std::size_t look = 0; look < looks.count(); ++look) {
    const std::int64_t n = looks.seeds[look];
    if (n < 2) continue;
    const ClaimVerdict verdict = at(n, looks.confidence(look));
    if (verdict != ClaimVerdict::inconclusive) return {n, verdict};
  }
  return {0, ClaimVerdict::inconclusive};
}

}  // namespace

LookPlan one_look(std::int64_t seeds) { return {{seeds}, {1 - default_confidence}}; }

LookPlan plan_looks(std::int64_t first, std::int64_t most) {
  if (most <= first) return one_look(first);
  std::vector<std::int64_t> seeds;
  for (std::int64_t n = first; n < most;
       n = static_cast<std::int64_t>(std::ceil(look_growth * static_cast<double>(n)))) {
    seeds.push_back(n);
  }
  seeds.push_back(most);
  return looks_at(std::move(seeds));
}

LookPlan looks_at(std::vector<std::int64_t> seeds) {
  LookPlan plan{std::move(seeds), {}};
  std::int64_t before = 0;
  for (const std::int64_t n : plan.seeds) {
    plan.alpha.push_back((1 - default_confidence) * static_cast<double>(n - before) /
                         static_cast<double>(plan.seeds.back()));
    before = n;
  }
  return plan;
}

Judgement judge_values(const PartTerms& terms, std::span<const double> a, std::span<const double> b,
                       double confidence) {
  Judgement judgement;
  judgement.effect = effect_of(terms.kind, a, b, terms.parts,
                               {.statistic = terms.statistic, .confidence = confidence});
  judgement.verdict = judge(judgement.effect, terms.expect, terms.threshold, terms.bound);
  return judgement;
}

double verdict_p(const PartTerms& terms, ClaimVerdict verdict, std::span<const double> a,
                 std::span<const double> b) {
  const auto given = [&](double error) {
    return judge_values(terms, a, b, 1 - error).verdict == verdict;
  };
  double enough = 1 - default_confidence;
  if (verdict == ClaimVerdict::inconclusive || !given(enough)) return 1;
  if (given(least_p)) return least_p;
  double little = least_p;
  // On the logarithm, to a part in a thousand.
  while (enough > 1.001 * little) {
    const double middle = std::sqrt(enough * little);
    (given(middle) ? enough : little) = middle;
  }
  return enough;
}

SeedForecast forecast(const PartTerms& terms, const LookPlan& looks, std::span<const double> a,
                      std::span<const double> b) {
  // Checks the values.
  const Effect pilot = effect_of(terms.kind, a, b);
  if (pilot.n == 0) return {};
  SeedForecast found{.known = true};
  if (terms.kind == EffectKind::share) {
    std::tie(found.seeds, found.verdict) = first_verdict(looks, [&](std::int64_t n, double sure) {
      return judge_values(terms, in_proportion(a, n), in_proportion(b, n), sure).verdict;
    });
    found.cautious = found.seeds;
    return found;
  }
  Spread spread = spread_of(terms, a, b);
  const auto verdict = [&](std::int64_t n, double sure) {
    return judge(foreseen(terms, spread, n, sure), terms.expect, terms.threshold, terms.bound);
  };
  std::tie(found.seeds, found.verdict) = first_verdict(looks, verdict);
  const auto freedom = static_cast<double>(a.size() - 1);
  const double low = boost::math::quantile(boost::math::chi_squared(freedom), 1 - power);
  spread.deviation *= std::sqrt(freedom / low);
  found.cautious = first_verdict(looks, verdict).first;
  return found;
}

}  // namespace sluice
