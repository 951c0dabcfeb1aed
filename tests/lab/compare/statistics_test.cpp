// Against tables and R; and verdicts where the truth is known.

#include "sluice/lab/compare/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "sluice/base/error.hpp"
#include "sluice/base/random.hpp"
#include "sluice/lab/compare/detail/rates.hpp"

namespace sluice {
namespace {

// R: qt(0.975, c(1, 2, 3, 4, 5, 9, 10, 30)), qt(0.995, 10), qt(0.95, 5)
TEST(StudentT, QuantilesAreThoseOfTables) {
  const std::pair<std::size_t, double> table[] = {
      {1, 12.7062047364}, {2, 4.3026527297}, {3, 3.1824463053},  {4, 2.7764451052},
      {5, 2.5705818356},  {9, 2.2621571628}, {10, 2.2281388520}, {30, 2.0422724563}};
  for (const auto& [freedom, t] : table) {
    EXPECT_NEAR(student_t_quantile(0.975, freedom), t, 1e-9) << freedom;
    EXPECT_NEAR(student_t_two_sided(t, freedom), 0.05, 1e-10) << freedom;
    EXPECT_NEAR(student_t_quantile(0.025, freedom), -t, 1e-9) << freedom;
  }
  EXPECT_NEAR(student_t_quantile(0.995, 10), 3.1692726726, 1e-9);
  EXPECT_NEAR(student_t_quantile(0.95, 5), 2.0150483733, 1e-9);
  // One degree of freedom is Cauchy's distribution, two have a closed form, too.
  EXPECT_NEAR(student_t_two_sided(1, 1), 0.5, 1e-14);
  EXPECT_NEAR(student_t_two_sided(1.5, 2), 1 - 1.5 / std::sqrt(2 + 1.5 * 1.5), 1e-14);
  EXPECT_EQ(student_t_two_sided(std::numeric_limits<double>::infinity(), 3), 0);
}

TEST(StudentT, RefusesWhatHasNoAnswer) {
  EXPECT_THROW(student_t_quantile(0, 3), Error);
  EXPECT_THROW(student_t_quantile(1, 3), Error);
  EXPECT_THROW(student_t_quantile(0.5, 0), Error);
  EXPECT_THROW(mean({}), Error);
  const std::vector<double> one = {1.0};
  EXPECT_THROW(mean_interval(one), Error);
  EXPECT_THROW(paired_t_test(one, one), Error);
  const std::vector<double> two = {1.0, 2.0};
  EXPECT_THROW(paired_t_test(one, two), Error);
}

// R's data set "sleep" (Student 1908), t.test(.., paired = TRUE): t = -4.0621, df = 9,
// p-value = 0.002833, interval -2.4598858 -0.7001142, mean difference -1.58.
const std::vector<double> drug1 = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
const std::vector<double> drug2 = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};

TEST(PairedTTest, StudentsOwnExample) {
  const PairedTest test = paired_t_test(drug1, drug2);
  EXPECT_EQ(test.n, 10U);
  EXPECT_NEAR(test.difference, -1.58, 1e-12);
  EXPECT_NEAR(test.deviation, 1.2299955, 1e-7);
  EXPECT_NEAR(test.t, -4.062128, 1e-6);
  EXPECT_NEAR(test.p, 0.00283289, 1e-8);
  EXPECT_NEAR(test.interval.low, -2.4598858, 1e-7);
  EXPECT_NEAR(test.interval.high, -0.7001142, 1e-7);
}

TEST(PairedTTest, WithoutDeviation) {
  const std::vector<double> a = {1.0, 2.0, 3.0};
  const std::vector<double> b = {2.0, 3.0, 4.0};
  EXPECT_EQ(paired_t_test(a, a).p, 1);
  EXPECT_EQ(paired_t_test(a, b).p, 0);
  EXPECT_EQ(paired_t_test(a, b).t, -std::numeric_limits<double>::infinity());
}

// R: t.test(c(1, 2, 3, 4))$conf.int is 0.4457397 4.5542603.
TEST(MeanInterval, IsStudents) {
  const std::vector<double> values = {1, 2, 3, 4};
  EXPECT_DOUBLE_EQ(mean(values), 2.5);
  EXPECT_NEAR(standard_deviation(values), 1.2909944487, 1e-10);
  const Interval interval = mean_interval(values);
  EXPECT_NEAR(interval.low, 0.4457397, 1e-7);
  EXPECT_NEAR(interval.high, 4.5542603, 1e-7);
}

// R: p.adjust(.., "holm")
TEST(Holm, IsThatOfR) {
  const std::vector<double> ascending = {0.01, 0.02, 0.03, 0.04};
  const std::vector<double> expected = {0.04, 0.06, 0.06, 0.06};
  const std::vector<double> mixed = {0.01, 0.04, 0.03, 0.005};
  const std::vector<double> mixed_expected = {0.03, 0.06, 0.06, 0.02};
  const std::vector<double> large = {0.6, 0.7, 0.001};
  const std::vector<double> large_expected = {1, 1, 0.003};
  for (const auto& [p, want] :
       {std::pair{ascending, expected}, {mixed, mixed_expected}, {large, large_expected}}) {
    const std::vector<double> got = holm(p);
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-15) << i;
  }
  EXPECT_TRUE(holm({}).empty());
}

TEST(CompareAll, TellsBetterFromWorseAndFromNoise) {
  const std::vector<std::vector<double>> values = {
      {2.00, 2.01, 1.99, 2.02}, {2.20, 2.22, 2.18, 2.21}, {2.03, 1.97, 2.02, 2.01}};
  const auto pairs = compare_all(values);
  ASSERT_EQ(pairs.size(), 3U);
  EXPECT_EQ(pairs[0].verdict, Verdict::better);  // 0 against 1
  EXPECT_EQ(pairs[1].verdict, Verdict::not_distinguishable);
  EXPECT_EQ(pairs[2].verdict, Verdict::worse);  // 1 against 2
  EXPECT_EQ(pairs[2].a, 1U);
  EXPECT_EQ(pairs[2].b, 2U);
  EXPECT_NEAR(pairs[0].corrected_p, 3 * pairs[0].test.p, 1e-15);
}

TEST(CompareAll, TestsOnlyWhatCanBe) {
  const double infinite = std::numeric_limits<double>::infinity();
  const auto diverged = compare_all({{1.0, 1.1}, {2.0, infinite}, {1.5, 1.7}});
  EXPECT_EQ(diverged[0].verdict, Verdict::untested);
  EXPECT_NE(diverged[1].verdict, Verdict::untested);
  // Only what is tested counts for the correction.
  EXPECT_EQ(diverged[1].corrected_p, diverged[1].test.p);
  const auto single = compare_all({{1.0}, {2.0}});
  EXPECT_EQ(single[0].verdict, Verdict::untested);
}

// Of two variants with different numbers of seeds the first ones count, which both have.
TEST(CompareAll, TakesTheSeedsThatBothHave) {
  const double infinite = std::numeric_limits<double>::infinity();
  const auto pairs = compare_all({{1.0, 1.2, 1.1, infinite}, {2.0, 2.1, 2.2}, {3.0}});
  const auto even = compare_all({{1.0, 1.2, 1.1}, {2.0, 2.1, 2.2}});
  EXPECT_EQ(pairs[0].test.n, 3U);
  EXPECT_EQ(pairs[0].test.p, even[0].test.p);
  EXPECT_EQ(pairs[0].verdict, even[0].verdict);
  EXPECT_EQ(pairs[1].verdict, Verdict::untested);
  EXPECT_EQ(pairs[2].verdict, Verdict::untested);
}

// Pairs of seeds, not sets: with the seeds of one side shuffled the shared noise no longer cancels.
TEST(CompareAll, PairsSeeds) {
  const auto paired = compare_all({{1.00, 1.50, 2.00, 2.50}, {1.10, 1.61, 2.09, 2.60}});
  const auto shuffled = compare_all({{1.00, 1.50, 2.00, 2.50}, {2.09, 1.10, 2.60, 1.61}});
  EXPECT_EQ(paired[0].verdict, Verdict::better);
  EXPECT_EQ(shuffled[0].verdict, Verdict::not_distinguishable);
}

/// What a variant's seed came to: noise that all variants of the seed share, and its own.
double simulated(std::uint32_t simulation, std::uint64_t variant, std::uint64_t rate,
                 std::uint64_t seed) {
  const RandomKey shared{.seed = 11, .stream = 0, .step = simulation};
  const RandomKey own{.seed = 11, .stream = 1, .step = simulation};
  return 2 + 0.05 * shared.normal(seed) + 0.02 * own.normal((variant * 16 + rate) * 64 + seed);
}

/// Fraction of simulations in which some pair of `variants` is found to differ, all being equal but
/// for `advantage` of the first; with `rates` > 1 each is judged by the best of as many.
double told_apart(std::size_t variants, std::size_t rates, std::size_t seeds, double advantage,
                  std::uint32_t simulations) {
  int found = 0;
  for (std::uint32_t i = 0; i < simulations; ++i) {
    std::vector<std::vector<double>> judged;
    for (std::size_t v = 0; v < variants; ++v) {
      std::vector<std::vector<double>> losses(rates);
      for (std::size_t r = 0; r < rates; ++r) {
        for (std::size_t s = 0; s < seeds; ++s) {
          losses[r].push_back(simulated(i, v, r, s) - (v == 0 ? advantage : 0));
        }
      }
      judged.push_back(losses[choose_rate(losses)]);
    }
    bool any = false;
    for (const PairResult& pair : compare_all(judged)) {
      any = any || pair.verdict == Verdict::better || pair.verdict == Verdict::worse;
    }
    found += any ? 1 : 0;
  }
  return found / static_cast<double>(simulations);
}

// Four equal variants and three seeds give a false positive among all pairs with a probability of
// 4.8% (200,000 simulations in NumPy). Of 1,000 simulations that is 0.7% off one time in three, so
// there are as many here as tell it from 5%.
TEST(CompareAll, FindsNothingWhereThereIsNothing) {
  EXPECT_LE(told_apart(4, 1, 3, 0, 100000), 0.05);
  EXPECT_LE(told_apart(4, 1, 5, 0, 100000), 0.05);
  EXPECT_LE(told_apart(4, 3, 3, 0, 20000), 0.05);
  EXPECT_LE(told_apart(6, 3, 5, 0, 20000), 0.05);
  // A single test has 5%, and 20,000 trials of it a deviation of 0.15%.
  EXPECT_NEAR(told_apart(2, 1, 3, 0, 20000), 0.05, 0.0046);
}

TEST(CompareAll, FindsWhatIsThere) {
  EXPECT_GE(told_apart(2, 1, 5, 0.1, 1000), 0.95);
  EXPECT_GE(told_apart(4, 3, 5, 0.2, 1000), 0.95);
}

TEST(Rates, GridSurroundsItsCentre) {
  EXPECT_EQ(rate_grid(0.002), (std::vector<double>{0.00067, 0.002, 0.006}));
  EXPECT_EQ(rate_grid(1), (std::vector<double>{0.33, 1, 3}));
}

TEST(Rates, ChoosesTheLowestMeanOfThoseThatLearn) {
  const double infinite = std::numeric_limits<double>::infinity();
  EXPECT_EQ(choose_rate({{2.0, 2.2}, {2.0, 2.1}, {1.9, 2.3}}), 1U);
  EXPECT_EQ(choose_rate({{2.0, 2.2}, {1.0, infinite}}), 0U);
  EXPECT_EQ(choose_rate({{infinite, infinite}, {1.0, infinite}}), 1U);
  EXPECT_EQ(choose_rate({{infinite}, {infinite}}), 0U);
  // One seed of each rate ended above the loss of a uniform distribution: the others decide.
  EXPECT_EQ(choose_rate({{2.0, 6.5}, {1.8, 8.1}}, 5.3), 1U);
  EXPECT_EQ(choose_rate({{2.0, 2.1}, {1.8, 8.1}}, 5.3), 0U);
}

TEST(Rates, GrowTwiceBeyondAnEnd) {
  std::vector<double> rates = rate_grid(0.002);
  EXPECT_FALSE(rate_beyond(rates, 0.002, 1));
  std::vector<double> added;
  for (auto next = rate_beyond(rates, 0.002, 2); next;
       next = rate_beyond(rates, 0.002, rates.size() - 1)) {
    rates.push_back(*next);
    added.push_back(*next);
  }
  EXPECT_EQ(added, (std::vector<double>{0.018, 0.054}));
  EXPECT_EQ(rate_beyond(rate_grid(0.002), 0.002, 0), 0.00022);
}

// The interval covers the truth about as often as it says, a little less for so few blocks.
TEST(Bootstrap, CoversWhatBlocksVary) {
  int covered = 0;
  constexpr int texts = 100;
  for (std::uint32_t text = 0; text < texts; ++text) {
    const RandomKey random{.seed = 11, .stream = 0, .step = text};
    std::vector<double> blocks(40);
    for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = 3 + random.normal(i);
    const Interval interval = block_bootstrap(blocks);
    if (text == 0) {
      EXPECT_EQ(interval, block_bootstrap(blocks));
      const Interval student = mean_interval(blocks);
      EXPECT_NEAR(interval.low, student.low, 0.06);
      EXPECT_NEAR(interval.high, student.high, 0.06);
    }
    covered += interval.low < 3 && 3 < interval.high ? 1 : 0;
  }
  EXPECT_GE(covered, 0.88 * texts);
  EXPECT_LE(covered, 0.99 * texts);
  EXPECT_THROW(block_bootstrap(std::vector<double>{1}), Error);
}

TEST(Rates, SearchGoesOnBeyondAnEnd) {
  const std::vector<double> given = {0.01, 0.03};
  std::vector<double> rates = given;
  int added = 0;
  for (auto next = rate_further(rates, given, rates.size() - 1); next;
       next = rate_further(rates, given, rates.size() - 1)) {
    rates.push_back(*next);
    ++added;
  }
  EXPECT_EQ(added, 8);
  EXPECT_EQ(rates[2], 0.09);
  EXPECT_EQ(rate_further(given, given, 0), 0.0033);
  EXPECT_FALSE(rate_further({0.01, 0.03, 0.09}, given, 1));
}

// On a parabola over the logarithm of the rate, the search closes in on its bottom.
TEST(Rates, GoldenSectionFindsTheBottom) {
  const double bottom = std::log(0.05);
  std::vector<double> rates = {0.01, 0.03, 0.09, 0.27};
  const auto best = [&] {
    std::vector<std::vector<double>> losses;
    for (const double rate : rates) losses.push_back({std::pow(std::log(rate) - bottom, 2)});
    return choose_rate(losses);
  };
  EXPECT_EQ(rate_between(rates, 2), 0.14);
  EXPECT_FALSE(rate_between(rates, 0));
  EXPECT_FALSE(rate_between(rates, 3));
  for (int i = 0; i < 6; ++i) {
    if (const auto next = rate_between(rates, best())) {
      rates.insert(std::upper_bound(rates.begin(), rates.end(), *next), *next);
    }
  }
  EXPECT_NEAR(std::log(rates[best()]), bottom, 0.08);
  EXPECT_FALSE(rate_between({0.1, 0.105, 0.11}, 1));
}

}  // namespace
}  // namespace sluice
