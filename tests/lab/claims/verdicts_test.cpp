// Verdicts: intervals against known ones, and what is concluded where the truth is known.

#include "sluice/lab/claims/verdicts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/lab/compare/detail/rates.hpp"

namespace sluice {
namespace {

using Values = std::vector<double>;

// Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 5, to
// the four digits printed there.
TEST(Verdicts, IntervalsOfSharesAreExact) {
  struct Known {
    std::size_t k, n;
    double low, high;
  };
  for (const Known& known : {Known{81, 263, 0.2527, 0.3676}, Known{15, 148, 0.0578, 0.1617},
                             Known{0, 20, 0.0, 0.1684}, Known{1, 29, 0.0009, 0.1776}}) {
    const Interval interval = share_interval(known.k, known.n);
    EXPECT_NEAR(interval.low, known.low, 5e-5);
    EXPECT_NEAR(interval.high, known.high, 5e-5);
  }
  EXPECT_EQ(share_interval(5, 5).high, 1);
  EXPECT_NEAR(share_interval(5, 5).low, std::pow(0.025, 0.2), 1e-9);
}

Values ones(std::size_t k, std::size_t n) {
  Values values(n, 0);
  std::fill_n(values.begin(), k, 1.0);
  return values;
}

TEST(Verdicts, IntervalsOfDifferencesOfShares) {
  const Effect effect = effect_of(EffectKind::share, ones(9, 10), ones(3, 10));
  const Interval a = share_interval(9, 10);
  const Interval b = share_interval(3, 10);
  EXPECT_NEAR(effect.effect, 0.6, 1e-12);
  EXPECT_NEAR(effect.interval.low, 0.6 - std::hypot(0.9 - a.low, b.high - 0.3), 1e-12);
  EXPECT_NEAR(effect.interval.high, 0.6 + std::hypot(a.high - 0.9, 0.3 - b.low), 1e-12);
  const Effect other = effect_of(EffectKind::share, ones(3, 10), ones(9, 10));
  EXPECT_NEAR(other.interval.low, -effect.interval.high, 1e-12);
  EXPECT_EQ(effect_of(EffectKind::share, ones(3, 10), {}).interval, b);
}

TEST(Verdicts, DifferencesArePairedTTests) {
  const Values a = {1.2, 1.1, 1.3, 1.25};
  const Values b = {1.3, 1.15, 1.28, 1.4};
  const PairedTest test = paired_t_test(a, b);
  const Effect effect = effect_of(EffectKind::difference, a, b, 3);
  EXPECT_EQ(effect.n, 4U);
  EXPECT_DOUBLE_EQ(effect.a, mean(a));
  EXPECT_DOUBLE_EQ(effect.b, mean(b));
  EXPECT_NEAR(effect.effect, test.difference, 1e-12);
  EXPECT_NEAR(effect.interval.low, test.interval.low, 1e-12);
  EXPECT_NEAR(effect.interval.high, test.interval.high, 1e-12);
  const PairedTest wide = paired_t_test(a, b, 1 - 0.05 / 3);
  EXPECT_NEAR(effect.wide.low, wide.interval.low, 1e-12);
  EXPECT_NEAR(effect.wide.high, wide.interval.high, 1e-12);

  const Effect alone = effect_of(EffectKind::difference, a, {});
  EXPECT_TRUE(std::isnan(alone.b));
  EXPECT_EQ(alone.interval, mean_interval(a));
  EXPECT_EQ(alone.wide, alone.interval);
}

TEST(Verdicts, RatiosAreGeometric) {
  const Values a = {1, 4, 2};
  const Values b = {2, 4, 8};
  const Effect effect = effect_of(EffectKind::ratio, a, b);
  EXPECT_NEAR(effect.a, 2, 1e-12);
  EXPECT_NEAR(effect.b, 4, 1e-12);
  EXPECT_NEAR(effect.effect, 0.5, 1e-12);
  const Effect other = effect_of(EffectKind::ratio, b, a);
  EXPECT_NEAR(effect.interval.low, 1 / other.interval.high, 1e-12);
  EXPECT_NEAR(effect.interval.high, 1 / other.interval.low, 1e-12);
  // Half of an other, surely.
  const Effect half = effect_of(EffectKind::ratio, Values{1, 2, 3}, Values{2, 4, 6});
  EXPECT_NEAR(half.interval.low, 0.5, 1e-12);
  EXPECT_NEAR(half.interval.high, 0.5, 1e-12);
}

TEST(Verdicts, WithoutAnIntervalNothingIsConcluded) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto inconclusive = [](const Effect& effect) {
    EXPECT_EQ(effect.n, 0U);
    for (const Expect expect : {Expect::less, Expect::greater, Expect::within}) {
      EXPECT_EQ(judge(effect, expect, 2), ClaimVerdict::inconclusive);
    }
  };
  inconclusive(effect_of(EffectKind::difference, Values{1}, Values{2}));
  inconclusive(effect_of(EffectKind::difference, Values{1, infinity}, Values{2, 3}));
  inconclusive(effect_of(EffectKind::ratio, Values{1, 2}, Values{2, 0}));
  inconclusive(effect_of(EffectKind::ratio, Values{-1, 2}, Values{2, 1}));
  inconclusive(effect_of(EffectKind::share, Values{1}, Values{0}));
  EXPECT_EQ(effect_of(EffectKind::difference, Values{1}, Values{3}).effect, -2);
  EXPECT_THROW(effect_of(EffectKind::difference, Values{1, 2}, Values{1}), Error);
  EXPECT_THROW(effect_of(EffectKind::share, Values{1, 0.5}, Values{1, 1}), Error);
  // No difference at all is on neither side.
  const Effect same = effect_of(EffectKind::difference, Values{1, 2}, Values{1, 2});
  EXPECT_EQ(same.n, 2U);
  EXPECT_EQ(judge(same, Expect::less, 0), ClaimVerdict::inconclusive);
  EXPECT_EQ(judge(same, Expect::less, 0.1), ClaimVerdict::holds);
}

TEST(Verdicts, FollowTheIntervals) {
  const auto verdict = [](Interval interval, Interval wide, Expect expect, double threshold,
                          EffectKind kind = EffectKind::difference) {
    return judge({.kind = kind, .n = 3, .interval = interval, .wide = wide}, expect, threshold);
  };
  const ClaimVerdict holds = ClaimVerdict::holds;
  const ClaimVerdict fails = ClaimVerdict::fails;
  const ClaimVerdict open = ClaimVerdict::inconclusive;
  EXPECT_EQ(verdict({-3, -1}, {-4, 1}, Expect::less, 0), holds);
  EXPECT_EQ(verdict({-3, 1}, {-4, 1}, Expect::less, 0), open);
  EXPECT_EQ(verdict({-3, 1}, {-4, 1}, Expect::less, 2), holds);
  EXPECT_EQ(verdict({1, 3}, {-1, 4}, Expect::less, 0), open);
  EXPECT_EQ(verdict({1, 3}, {0.5, 4}, Expect::less, 0), fails);
  EXPECT_EQ(verdict({1, 3}, {-1, 4}, Expect::greater, 0), holds);
  EXPECT_EQ(verdict({-3, -1}, {-4, 1}, Expect::greater, 0), open);
  EXPECT_EQ(verdict({-3, -1}, {-4, -0.5}, Expect::greater, 0), fails);
  EXPECT_EQ(verdict({-1, 1}, {-3, 3}, Expect::within, 2), holds);
  EXPECT_EQ(verdict({-1, 3}, {-2, 4}, Expect::within, 2), open);
  EXPECT_EQ(verdict({3, 4}, {2.5, 5}, Expect::within, 2), fails);
  EXPECT_EQ(verdict({-4, -3}, {-5, -2.5}, Expect::within, 2), fails);
  EXPECT_EQ(verdict({0.6, 1.5}, {0.6, 1.5}, Expect::within, 2, EffectKind::ratio), holds);
  EXPECT_EQ(verdict({0.4, 1.5}, {0.4, 1.5}, Expect::within, 2, EffectKind::ratio), open);
  EXPECT_EQ(verdict({0.1, 0.4}, {0.1, 0.45}, Expect::within, 2, EffectKind::ratio), fails);

  // No effect as large as the bound, either way.
  const auto bounded = [](Interval interval, double bound, EffectKind kind) {
    return judge({.kind = kind, .n = 3, .interval = interval, .wide = interval}, Expect::less,
                 kind == EffectKind::ratio ? 1 : 0, bound);
  };
  const ClaimVerdict equal = ClaimVerdict::equal;
  EXPECT_EQ(bounded({-1, 1.5}, 2, EffectKind::difference), equal);
  EXPECT_EQ(bounded({-3, 1.5}, 2, EffectKind::difference), open);
  EXPECT_EQ(bounded({0.6, 1.5}, 2, EffectKind::ratio), equal);
  EXPECT_EQ(bounded({0.4, 1.5}, 2, EffectKind::ratio), open);

  EXPECT_EQ(combine(std::vector{holds, holds}), holds);
  EXPECT_EQ(combine(std::vector{holds, open}), open);
  EXPECT_EQ(combine(std::vector{holds, open, fails}), fails);
  EXPECT_EQ(combine({}), open);
}

/// How often claims were found to hold and to fail.
struct Counts {
  double holds = 0, fails = 0;
};

/// `claims` claims of `parts` parts each, their values from draw().
Counts simulate(int claims, std::size_t parts, Expect expect, double threshold, EffectKind kind,
                const std::function<std::pair<Values, Values>()>& draw) {
  Counts counts;
  for (int i = 0; i < claims; ++i) {
    std::vector<ClaimVerdict> verdicts;
    for (std::size_t part = 0; part < parts; ++part) {
      const auto [a, b] = draw();
      verdicts.push_back(judge(effect_of(kind, a, b, parts), expect, threshold));
    }
    const ClaimVerdict verdict = combine(verdicts);
    if (verdict == ClaimVerdict::holds) ++counts.holds;
    if (verdict == ClaimVerdict::fails) ++counts.fails;
  }
  counts.holds /= claims;
  counts.fails /= claims;
  return counts;
}

// The share of wrong verdicts is 5% at most. A simulated share of 10,000 claims has a standard
// deviation of at most 0.0022 then; three of them are granted.
constexpr int null_claims = 10'000;
constexpr double null_bound = 0.05 + 3 * 0.0022;

// No effect beyond the threshold: whatever is concluded is false.
TEST(Verdicts, FalsePositivesAreFivePercentAtMost) {
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  for (const std::size_t seeds : {2, 3, 5}) {
    for (const std::size_t parts : {1, 2, 5}) {
      for (const double threshold : {0.0, 0.3}) {
        // Seeds differ more than variants do, as in training.
        const Counts counts =
            simulate(null_claims, parts, Expect::less, threshold, EffectKind::difference, [&] {
              Values a;
              Values b;
              for (std::size_t i = 0; i < seeds; ++i) {
                const double shared = 3 * normal(random);
                b.push_back(shared + normal(random));
                a.push_back(shared + threshold + normal(random));
              }
              return std::pair{a, b};
            });
        EXPECT_LE(counts.holds + counts.fails, null_bound) << seeds << " seeds, " << parts;
        if (parts == 1) {
          EXPECT_GE(counts.holds + counts.fails, 0.04) << seeds;  // no needless doubt
          EXPECT_NEAR(counts.holds, counts.fails, 0.01);
        }
      }
    }
  }
}

// As a comparison does it: each side is judged by the best of three learning rates, chosen on the
// same values.
TEST(Verdicts, ChoosingRatesAddsNoFalsePositives) {
  std::mt19937_64 random(8);
  std::normal_distribution<double> normal;
  for (const double spread : {0.0, 1.0}) {
    const auto side = [&](const Values& shared) {
      std::vector<Values> losses(3);
      for (std::size_t rate = 0; rate < 3; ++rate) {
        for (const double seed : shared) {
          losses[rate].push_back(seed + spread * static_cast<double>(rate) + normal(random));
        }
      }
      return losses[choose_rate(losses)];
    };
    const Counts counts = simulate(null_claims, 1, Expect::less, 0, EffectKind::difference, [&] {
      Values shared(5);
      for (double& seed : shared) seed = normal(random);
      return std::pair{side(shared), side(shared)};
    });
    EXPECT_LE(counts.holds + counts.fails, null_bound) << spread;
  }
}

// Not simulated, but summed over all that may happen.
TEST(Verdicts, FalsePositivesOfSharesAreFivePercentAtMost) {
  for (const std::size_t n : {2, 3, 4, 5, 8}) {
    for (const double p : {0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95}) {
      const auto probability = [&](std::size_t k) {
        return std::tgamma(n + 1) / std::tgamma(k + 1) / std::tgamma(n - k + 1) * std::pow(p, k) *
               std::pow(1 - p, n - k);
      };
      double wrong = 0;
      double all = 0;
      for (std::size_t a = 0; a <= n; ++a) {
        for (std::size_t b = 0; b <= n; ++b) {
          const Effect effect = effect_of(EffectKind::share, ones(a, n), ones(b, n));
          all += probability(a) * probability(b);
          if (judge(effect, Expect::less, 0) == ClaimVerdict::inconclusive) continue;
          wrong += probability(a) * probability(b);
        }
      }
      EXPECT_NEAR(all, 1, 1e-9);
      EXPECT_LE(wrong, 0.05) << n << " seeds, p " << p;
    }
  }
}

// Equivalence: at the edge of what is near enough.
TEST(Verdicts, FalsePositivesOfEquivalenceAreFivePercentAtMost) {
  std::mt19937_64 random(10);
  std::normal_distribution<double> normal;
  const Counts counts = simulate(null_claims, 1, Expect::within, 3, EffectKind::difference, [&] {
    Values a(5);
    Values b(5);
    for (double& x : a) x = 3 + normal(random);
    for (double& x : b) x = normal(random);
    return std::pair{a, b};
  });
  EXPECT_LE(counts.holds + counts.fails, null_bound);
}

// Where there is an effect of three standard deviations, five seeds find it; and never the
// opposite (1 in 1,000).
TEST(Verdicts, EffectsAreFound) {
  std::mt19937_64 random(11);
  std::normal_distribution<double> normal;
  for (const double truth : {-3.0, 3.0}) {
    const Counts counts = simulate(1000, 1, Expect::less, 0, EffectKind::difference, [&] {
      Values a(5);
      Values b(5);
      for (double& x : a) x = truth + 0.7 * normal(random);
      for (double& x : b) x = 0.7 * normal(random);
      return std::pair{a, b};
    });
    EXPECT_GE(truth < 0 ? counts.holds : counts.fails, 0.95);
    EXPECT_LE(truth < 0 ? counts.fails : counts.holds, 0.001);
  }
  // All runs of one side diverge, none of the other: five seeds are enough to say so.
  EXPECT_EQ(judge(effect_of(EffectKind::share, ones(5, 5), ones(0, 5)), Expect::greater, 0),
            ClaimVerdict::holds);
}

TEST(Verdicts, NamesOfExpectations) {
  EXPECT_EQ(parse_enum<Expect>("within"), Expect::within);
  EXPECT_EQ(name_of(Expect::greater), "greater");
  EXPECT_EQ(name_of(ClaimVerdict::fails), "fails");
  EXPECT_THROW(parse_enum<Expect>("lesser"), UsageError);
}

}  // namespace
}  // namespace sluice
