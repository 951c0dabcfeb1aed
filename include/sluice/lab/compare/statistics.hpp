#pragma once
// The statistics of a comparison: intervals, paired tests, correction for several tests, verdicts.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The level of every interval and verdict: 95%.
inline constexpr double default_confidence = 0.95;

/// (1/n) Σ x. Throws Error for no values.
double mean(std::span<const double> values);

/// √(Σ (x - mean)² / (n - 1)). Throws Error for fewer than two values.
double standard_deviation(std::span<const double> values);

/// The t for which P(T <= t) = p, T following Student's distribution (Student 1908) with `freedom`
/// degrees of freedom. Throws Error unless 0 < p < 1 and freedom >= 1.
double student_t_quantile(double p, std::size_t freedom);

/// P(|T| >= |t|); 0 for an infinite t. Throws Error unless freedom >= 1.
double student_t_two_sided(double t, std::size_t freedom);

struct Interval {
  double low = 0, high = 0;
  bool operator==(const Interval&) const = default;
};

/// mean ± t · s / √n, t the quantile at (1 + confidence) / 2 with n - 1 degrees of freedom. Throws
/// Error for fewer than two values: a single value says nothing about their spread.
Interval mean_interval(std::span<const double> values, double confidence = default_confidence);

/// What stands for the middle of several values, and how its interval is found.
enum class Statistic : std::uint8_t {
  /// The mean, by Student's t.
  mean,
  /// The mean of what is left when the lowest and the highest fifth are cut off (rounded down, so
  /// none below five values), by Tukey & McLaughlin's t on the winsorised deviation (1963; Yuen
  /// 1974): for values of which a few lie far out.
  trimmed,
  /// The median, between order statistics (Thompson 1936): holds whatever the values' distributions
  /// are, as long as they share a median. Unbounded below six values at 95%.
  median,
};
/// "mean", "trimmed", "median".
const EnumNames<Statistic>& enum_names(Statistic);

/// The middle of `values`, as `statistic` has it. Throws Error for no values.
double center(std::span<const double> values, Statistic statistic);
/// Its interval; infinite on both sides where so few values bound nothing. Throws Error for fewer
/// than two values.
Interval center_interval(std::span<const double> values, Statistic statistic,
                         double confidence = default_confidence);

/// The interval of the mean over a text of which `blocks` are consecutive pieces of equal size,
/// each with its own mean: percentiles of the means of 10,000 resamples of as many blocks (the
/// block bootstrap of Carlstein 1986). Of differences between two models on the same blocks it says
/// what another text of the kind might have shown. The same for the same values. Throws Error for
/// fewer than two blocks.
Interval block_bootstrap(std::span<const double> blocks, double confidence = default_confidence);

/// Whether paired values differ in the mean.
struct PairedTest {
  std::size_t n = 0;
  /// Mean of a - b, its deviation over pairs, and its interval.
  double difference = 0;
  double deviation = 0;
  Interval interval;
  /// t = difference / (deviation / √n), and the two-sided p-value with n - 1 degrees of freedom.
  /// Without deviation t is infinite, or 0 when there is no difference either.
  double t = 0;
  double p = 1;
};

/// Student's paired t-test of a[i] against b[i]. Throws Error when the lengths differ or are below
/// two.
PairedTest paired_t_test(std::span<const double> a, std::span<const double> b,
                         double confidence = default_confidence);

/// P-values corrected for multiple testing, so that the probability of any false positive among
/// them stays below the level that each is tested at (Holm 1979): with p sorted ascending, p'(i) =
/// max over j <= i of min(1, (n - j) p(j)), j from 0. In the order of `p`.
std::vector<double> holm(std::span<const double> p);

/// The outcome of comparing a with b, where less is better.
enum class Verdict : std::uint8_t {
  better,
  worse,
  not_distinguishable,
  /// Too few values for a test: one seed, or runs that diverged.
  untested,
};
/// "better", "worse", "not distinguishable", "untested".
const EnumNames<Verdict>& enum_names(Verdict);

/// One pair of several that are compared with each other.
struct PairResult {
  std::size_t a = 0, b = 0;
  /// Without values when the verdict is `untested`.
  PairedTest test;
  /// test.p corrected over all tested pairs.
  double corrected_p = 1;
  Verdict verdict = Verdict::untested;
};

/// Compares every two of `values`, values[v][s] being the result of variant v with seed s (less is
/// better): a paired t-test each on the seeds that both have, Holm's correction over all of them,
/// and the verdict at 1 - confidence. A pair is untested when it shares fewer than two seeds or a
/// value of these is not finite. Pairs come in the order (0,1), (0,2), .. (1,2), ...
std::vector<PairResult> compare_all(const std::vector<std::vector<double>>& values,
                                    double confidence = default_confidence);

}  // namespace sluice
SLUICE_API_END
