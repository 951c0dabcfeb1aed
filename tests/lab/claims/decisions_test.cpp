// Seeds added until a claim is decided: the looks, the error they spend, what is forecast.

#include "sluice/lab/claims/decisions.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "synthetic.hpp"

namespace sluice::lab_test {
namespace {

TEST(Decisions, LooksGrowByHalfAndSpendAllErrorOnce) {
  const LookPlan plan = plan_looks(5, 40);
  EXPECT_EQ(plan.seeds, (std::vector<std::int64_t>{5, 8, 12, 18, 27, 40}));
  EXPECT_NEAR(std::accumulate(plan.alpha.begin(), plan.alpha.end(), 0.0), 0.05, 1e-12);
  EXPECT_NEAR(plan.alpha[0], 0.05 * 5 / 40, 1e-12);
  EXPECT_NEAR(plan.alpha[5], 0.05 * 13 / 40, 1e-12);
  EXPECT_NEAR(plan.confidence(1), 1 - 0.05 * 3 / 40, 1e-12);
  EXPECT_EQ(plan_looks(1, 3).seeds, (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_EQ(plan_looks(5, 5).seeds, one_look(5).seeds);
  EXPECT_EQ(plan_looks(5, 3).seeds, one_look(5).seeds);
  EXPECT_EQ(looks_at(plan.seeds).alpha, plan.alpha);
  EXPECT_DOUBLE_EQ(one_look(5).confidence(0), default_confidence);
}

/// The share of claims without any effect that get a verdict.
double false_positives(const LookPlan& looks, std::size_t parts, Statistic statistic, int claims) {
  Random random(2026);
  const SyntheticPart none{{.statistic = statistic}, [](Random& of, std::int64_t) {
                             const double shared = 3 * normal(of);
                             return std::pair{shared + normal(of), shared + normal(of)};
                           }};
  const std::vector<SyntheticPart> all(parts, none);
  int found = 0;
  for (int i = 0; i < claims; ++i) {
    if (decide(all, looks, random) != ClaimVerdict::inconclusive) ++found;
  }
  return static_cast<double>(found) / claims;
}

// 10,000 claims each, and what is found is to be 5% at most, nothing granted: the true share is
// less, Bonferroni's inequality giving something away. The deviation of a share of 5% is √(0.05 ·
// 0.95 / 10,000) = 0.22%, so that a rule that is wrong in 5% + 1.64 · 0.22% = 5.4% of all claims
// passes once in twenty times.
TEST(Decisions, LookingAddsNoFalsePositives) {
  constexpr int claims = 10'000;
  constexpr double most = 0.05;
  for (const auto& [first, last] : {std::pair{3, 40}, {5, 40}, {5, 100}}) {
    const LookPlan looks = plan_looks(first, last);
    const double one = false_positives(looks, 1, Statistic::mean, claims);
    EXPECT_LE(one, most) << first << " to " << last;
    // And no needless doubt: the inequality gives a third away at most.
    EXPECT_GE(one, 0.03) << first << " to " << last;
  }
  const LookPlan looks = plan_looks(5, 40);
  EXPECT_LE(false_positives(looks, 3, Statistic::mean, claims), most);
  EXPECT_LE(false_positives(looks, 1, Statistic::trimmed, claims), most);
  EXPECT_LE(false_positives(looks, 1, Statistic::median, claims), most);
}

// What looking costs those who do not account for it.
TEST(Decisions, NaiveLookingWouldDeceive) {
  LookPlan naive = plan_looks(5, 40);
  naive.alpha.assign(naive.count(), 1 - default_confidence);
  EXPECT_GE(false_positives(naive, 1, Statistic::mean, 10'000), 0.10);
}

TEST(Decisions, PValuesAreTheLeastErrorOfAVerdict) {
  const Values a = {1.2, 1.1, 1.3, 1.25, 1.22};
  const Values b = {1.3, 1.25, 1.38, 1.4, 1.31};
  const PairedTest test = paired_t_test(a, b);
  PartTerms terms;
  EXPECT_NEAR(verdict_p(terms, ClaimVerdict::holds, a, b), test.p, 0.002 * test.p);
  EXPECT_EQ(verdict_p(terms, ClaimVerdict::fails, a, b), 1);
  EXPECT_EQ(verdict_p(terms, ClaimVerdict::inconclusive, a, b), 1);
  terms.parts = 3;
  EXPECT_NEAR(verdict_p(terms, ClaimVerdict::fails, b, a), 3 * test.p, 0.006 * test.p);
  EXPECT_NEAR(verdict_p(terms, ClaimVerdict::holds, a, b), test.p, 0.002 * test.p);
  // Values that never vary are as sure as can be.
  EXPECT_LT(verdict_p({}, ClaimVerdict::holds, Values{1, 1, 1}, Values{2, 2, 2}), 1e-9);
}

TEST(Decisions, EqualIsWithinTheBound) {
  const Values a = {1.00, 1.02, 0.99, 1.01, 1.00};
  const Values b = {1.01, 1.00, 1.00, 1.00, 1.01};
  EXPECT_EQ(judge_values({.bound = 0.05}, a, b).verdict, ClaimVerdict::equal);
  EXPECT_EQ(judge_values({.bound = 0.005}, a, b).verdict, ClaimVerdict::inconclusive);
  EXPECT_EQ(judge_values({}, a, b).verdict, ClaimVerdict::inconclusive);
  EXPECT_EQ(judge_values({.kind = EffectKind::ratio, .threshold = 1, .bound = 1.1}, a, b).verdict,
            ClaimVerdict::equal);
  // A small effect that is known to be there holds, though it is small.
  EXPECT_EQ(judge_values({.bound = 2}, Values{0, 0.01, 0.02}, Values{1, 1.02, 1.01}).verdict,
            ClaimVerdict::holds);
  using enum ClaimVerdict;
  EXPECT_EQ(combine(std::vector{holds, equal}), equal);
  EXPECT_EQ(combine(std::vector{equal, inconclusive}), inconclusive);
  EXPECT_EQ(combine(std::vector{equal, fails}), fails);
}

// The forecast of a pilot is what a simulation of such seeds finds in four of five.
TEST(Decisions, ForecastsSeeds) {
  const LookPlan looks = plan_looks(5, 100);
  // Mean -1, deviation 1.5 of the differences.
  const Values pilot = {-1 - 1.5 / std::sqrt(2.0), -1 + 1.5 / std::sqrt(2.0)};
  const Values zeros = {0, 0};
  const SeedForecast found = forecast({}, looks, pilot, zeros);
  EXPECT_EQ(found.verdict, ClaimVerdict::holds);
  EXPECT_GE(found.cautious == 0 ? looks.seeds.back() : found.cautious, found.seeds);
  Random random(5);
  const SyntheticPart part{{}, [](Random& of, std::int64_t) {
                             return std::pair{-1 + 1.5 * normal(of), 0.0};
                           }};
  LookPlan until = looks;
  while (until.seeds.back() > found.seeds) {
    until.seeds.pop_back();
    until.alpha.pop_back();
  }
  int held = 0;
  for (int i = 0; i < 1000; ++i) {
    held += decide({part}, until, random) == ClaimVerdict::holds ? 1 : 0;
  }
  EXPECT_GE(held, 780);
  // One look fewer would not do.
  until.seeds.pop_back();
  until.alpha.pop_back();
  int earlier = 0;
  for (int i = 0; i < 1000; ++i) {
    earlier += decide({part}, until, random) == ClaimVerdict::holds ? 1 : 0;
  }
  EXPECT_LT(earlier, 800);

  EXPECT_EQ(forecast({}, looks, Values{0, 1, -1}, Values{0, 0, 0}).seeds, 0);
  EXPECT_EQ(forecast({.bound = 2}, looks, Values{0, 1, -1}, Values{0, 0, 0}).verdict,
            ClaimVerdict::equal);
  EXPECT_TRUE(forecast({}, looks, Values{0, 1, -1}, Values{0, 0, 0}).known);
  EXPECT_FALSE(forecast({}, looks, Values{1}, Values{0}).known);
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_FALSE(forecast({}, looks, Values{1, infinity}, Values{0, 0}).known);
  EXPECT_EQ(forecast({.kind = EffectKind::share, .expect = Expect::greater}, looks, Values{1, 1, 1},
                     Values{0, 0, 0})
                .verdict,
            ClaimVerdict::holds);
}

// Known intervals: a median's from a binomial table (Conover 1999, table A3), a trimmed mean's by
// hand: 1 2 3 4 5 is cut to 2 3 4 and winsorised to 2 2 3 4 4, of deviation 1.
TEST(Decisions, RobustIntervals) {
  const Values ten = {3, 1, 4, 1.5, 9, 2.6, 5, 3.5, 8, 9.7};
  EXPECT_DOUBLE_EQ(center(ten, Statistic::median), 3.75);
  const Interval median = center_interval(ten, Statistic::median);
  EXPECT_EQ(median.low, 1.5);
  EXPECT_EQ(median.high, 9);
  EXPECT_TRUE(std::isinf(center_interval(Values{1, 2, 3, 4, 5}, Statistic::median).low));
  EXPECT_EQ(center_interval(Values{1, 2, 3, 4, 5, 6}, Statistic::median), (Interval{1, 6}));

  const Values five = {5, 1, 3, 2, 4};
  EXPECT_DOUBLE_EQ(center(five, Statistic::trimmed), 3);
  const Interval trimmed = center_interval(five, Statistic::trimmed);
  const double half = student_t_quantile(0.975, 2) * std::sqrt(4.0 / 6);
  EXPECT_NEAR(trimmed.low, 3 - half, 1e-12);
  EXPECT_NEAR(trimmed.high, 3 + half, 1e-12);
  // However far out the farthest is.
  EXPECT_EQ(center_interval(Values{500, 1, 3, 2, 4}, Statistic::trimmed), trimmed);
  EXPECT_EQ(center_interval(five, Statistic::mean), mean_interval(five));
}

}  // namespace
}  // namespace sluice::lab_test
