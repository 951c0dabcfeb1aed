#include "sluice/lab/claims/verdicts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

bool are_finite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); });
}

bool are_positive(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double x) { return x > 0; });
}

std::vector<double> logarithms(std::span<const double> values) {
  std::vector<double> out;
  for (const double x : values) out.push_back(std::log(x));
  return out;
}

/// How sure both intervals of an effect are.
struct Confidences {
  double interval, wide;
};

Confidences confidences(double confidence, std::size_t parts) {
  return {confidence, 1 - (1 - confidence) / static_cast<double>(std::max<std::size_t>(parts, 1))};
}

/// The middle of a - b, or of a, and both intervals.
void set_middle(Effect& effect, std::span<const double> a, std::span<const double> b,
                const Confidences& sure, Statistic statistic) {
  std::vector<double> values(a.begin(), a.end());
  for (std::size_t i = 0; i < b.size(); ++i) values[i] -= b[i];
  effect.effect = center(values, statistic);
  effect.interval = center_interval(values, statistic, sure.interval);
  effect.wide = center_interval(values, statistic, sure.wide);
}

std::size_t count_ones(std::span<const double> values) {
  std::size_t ones = 0;
  for (const double x : values) {
    if (x != 0 && x != 1) throw Error(fmt::format("share: expected values of 0 and 1, got {}", x));
    if (x == 1) ++ones;
  }
  return ones;
}

Interval share_difference(std::size_t ones_a, std::size_t ones_b, std::size_t n,
                          double confidence) {
  const auto total = static_cast<double>(n);
  const double a = static_cast<double>(ones_a) / total;
  const double b = static_cast<double>(ones_b) / total;
  const Interval of_a = share_interval(ones_a, n, confidence);
  const Interval of_b = share_interval(ones_b, n, confidence);
  return {a - b - std::hypot(a - of_a.low, of_b.high - b),
          a - b + std::hypot(of_a.high - a, b - of_b.low)};
}

void set_share_intervals(Effect& effect, std::span<const double> a, std::span<const double> b,
                         const Confidences& sure) {
  const std::size_t n = a.size();
  const std::size_t ones = count_ones(a);
  if (b.empty()) {
    effect.effect = effect.a;
    effect.interval = share_interval(ones, n, sure.interval);
    effect.wide = share_interval(ones, n, sure.wide);
    return;
  }
  const std::size_t others = count_ones(b);
  effect.effect = effect.a - effect.b;
  effect.interval = share_difference(ones, others, n, sure.interval);
  effect.wide = share_difference(ones, others, n, sure.wide);
}

/// Whether `interval` lies nearer to no effect than `bound`.
bool lies_within(const Interval& interval, double bound, EffectKind kind) {
  const double least = kind == EffectKind::ratio ? 1 / bound : -bound;
  return interval.low > least && interval.high < bound;
}

}  // namespace

const EnumNames<Expect>& enum_names(Expect) {
  static const EnumNames<Expect> names(
      "expectation",
      {{Expect::less, "less"}, {Expect::greater, "greater"}, {Expect::within, "within"}});
  return names;
}

const EnumNames<ClaimVerdict>& enum_names(ClaimVerdict) {
  static const EnumNames<ClaimVerdict> names("verdict",
                                             {{ClaimVerdict::holds, "holds"},
                                              {ClaimVerdict::fails, "fails"},
                                              {ClaimVerdict::inconclusive, "inconclusive"},
                                              {ClaimVerdict::equal, "equal"}});
  return names;
}

const EnumNames<EffectKind>& enum_names(EffectKind) {
  static const EnumNames<EffectKind> names("effect", {{EffectKind::difference, "difference"},
                                                      {EffectKind::ratio, "ratio"},
                                                      {EffectKind::share, "share"}});
  return names;
}

Interval share_interval(std::size_t k, std::size_t n, double confidence) {
  using Binomial = boost::math::binomial;
  const auto trials = static_cast<double>(n);
  const auto successes = static_cast<double>(k);
  const double beyond = (1 - confidence) / 2;
  return {k == 0 ? 0 : Binomial::find_lower_bound_on_p(trials, successes, beyond),
          k == n ? 1 : Binomial::find_upper_bound_on_p(trials, successes, beyond)};
}

Effect effect_of(EffectKind kind, std::span<const double> a, std::span<const double> b,
                 std::size_t parts, const Estimation& estimation) {
  const Confidences sure = confidences(estimation.confidence, parts);
  if (!b.empty() && a.size() != b.size()) {
    throw Error(fmt::format("effect: expected as many values on both sides, got {} and {}",
                            a.size(), b.size()));
  }
  Effect effect{.kind = kind, .interval = {no_number, no_number}, .wide = {no_number, no_number}};
  effect.a = a.empty() ? no_number : mean(a);
  effect.b = b.empty() ? no_number : mean(b);
  effect.effect = b.empty() ? effect.a : effect.a - effect.b;
  if (!are_finite(a) || !are_finite(b) || a.empty()) return effect;
  if (kind == EffectKind::ratio) {
    effect.effect = no_number;
    if (!are_positive(a) || !are_positive(b)) return effect;
    const std::vector<double> log_a = logarithms(a);
    const std::vector<double> log_b = logarithms(b);
    effect.a = std::exp(mean(log_a));
    if (!b.empty()) effect.b = std::exp(mean(log_b));
    effect.effect = b.empty() ? effect.a : effect.a / effect.b;
    if (a.size() < 2) return effect;
    set_middle(effect, log_a, log_b, sure, estimation.statistic);
    for (double* value : {&effect.effect, &effect.interval.low, &effect.interval.high,
                          &effect.wide.low, &effect.wide.high}) {
      *value = std::exp(*value);
    }
  } else {
    if (a.size() < 2) return effect;
    if (kind == EffectKind::share) {
      set_share_intervals(effect, a, b, sure);
    } else {
      set_middle(effect, a, b, sure, estimation.statistic);
    }
  }
  effect.n = a.size();
  return effect;
}

ClaimVerdict judge(const Effect& effect, Expect expect, double threshold,
                   std::optional<double> bound) {
  if (effect.n == 0) return ClaimVerdict::inconclusive;
  const Interval& sure = effect.interval;
  const Interval& wide = effect.wide;
  bool holds = false;
  bool fails = false;
  switch (expect) {
    case Expect::less:
      holds = sure.high < threshold;
      fails = wide.low > threshold;
      break;
    case Expect::greater:
      holds = sure.low > threshold;
      fails = wide.high < threshold;
      break;
    case Expect::within: {
      const double least = effect.kind == EffectKind::ratio ? 1 / threshold : -threshold;
      holds = lies_within(sure, threshold, effect.kind);
      fails = wide.low > threshold || wide.high < least;
      break;
    }
  }
  if (holds) return ClaimVerdict::holds;
  if (fails) return ClaimVerdict::fails;
  return bound && lies_within(sure, *bound, effect.kind) ? ClaimVerdict::equal
                                                         : ClaimVerdict::inconclusive;
}

ClaimVerdict combine(std::span<const ClaimVerdict> parts) {
  const auto is = [&](ClaimVerdict wanted) {
    return std::find(parts.begin(), parts.end(), wanted) != parts.end();
  };
  if (is(ClaimVerdict::fails)) return ClaimVerdict::fails;
  if (parts.empty() || is(ClaimVerdict::inconclusive)) return ClaimVerdict::inconclusive;
  return is(ClaimVerdict::equal) ? ClaimVerdict::equal : ClaimVerdict::holds;
}

}  // namespace sluice
