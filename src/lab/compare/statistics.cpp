#include "sluice/lab/compare/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "sluice/base/error.hpp"
#include "sluice/base/random.hpp"

namespace sluice {
namespace {

void need(const char* what, std::size_t count, std::size_t least) {
  if (count >= least) return;
  throw Error(fmt::format("{}: expected at least {} value{}, got {}", what, least,
                          least == 1 ? "" : "s", count));
}

boost::math::students_t student_t(std::size_t freedom) {
  need("Student's t: degrees of freedom", freedom, 1);
  return boost::math::students_t(static_cast<double>(freedom));
}

/// Half the width of the interval around the mean of n values with this deviation.
double half_width(double deviation, std::size_t n, double confidence) {
  return student_t_quantile((1 + confidence) / 2, n - 1) * deviation /
         std::sqrt(static_cast<double>(n));
}

bool all_finite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); });
}

/// The share of the values that is cut off on either side of a trimmed mean.
constexpr double trimmed_share = 0.2;

std::vector<double> sorted(std::span<const double> values) {
  std::vector<double> out(values.begin(), values.end());
  std::sort(out.begin(), out.end());
  return out;
}

std::size_t trimmed_count(std::size_t n) {
  return static_cast<std::size_t>(trimmed_share * static_cast<double>(n));
}

double trimmed_mean(std::span<const double> ascending) {
  const std::size_t cut = trimmed_count(ascending.size());
  return mean(ascending.subspan(cut, ascending.size() - 2 * cut));
}

Interval trimmed_interval(std::vector<double> ascending, double confidence) {
  const std::size_t n = ascending.size();
  const std::size_t cut = trimmed_count(n);
  const double kept = static_cast<double>(n - 2 * cut);
  const double middle = trimmed_mean(ascending);
  std::fill_n(ascending.begin(), cut, ascending[cut]);
  std::fill_n(ascending.end() - static_cast<std::ptrdiff_t>(cut), cut, ascending[n - 1 - cut]);
  const double error =
      standard_deviation(ascending) * std::sqrt(static_cast<double>(n - 1) / (kept * (kept - 1)));
  const double half = student_t_quantile((1 + confidence) / 2, n - 2 * cut - 1) * error;
  return {middle - half, middle + half};
}

double median(std::span<const double> ascending) {
  const std::size_t n = ascending.size();
  return (ascending[(n - 1) / 2] + ascending[n / 2]) / 2;
}

/// From the r-th lowest value to the r-th highest, r as large as 2 P(B < r) <= 1 - confidence
/// allows, B binomial with n trials of 1/2.
Interval median_interval(std::span<const double> ascending, double confidence) {
  const std::size_t n = ascending.size();
  double beyond = 0;
  double probability = std::pow(0.5, static_cast<double>(n));
  std::size_t r = 0;
  for (; r < (n + 1) / 2; ++r) {
    beyond += probability;
    if (2 * beyond > 1 - confidence) break;
    probability *= static_cast<double>(n - r) / static_cast<double>(r + 1);
  }
  if (r == 0) {
    return {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  }
  return {ascending[r - 1], ascending[n - r]};
}

}  // namespace

double mean(std::span<const double> values) {
  need("mean", values.size(), 1);
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double standard_deviation(std::span<const double> values) {
  need("standard deviation", values.size(), 2);
  const double center = mean(values);
  double squares = 0;
  for (const double x : values) squares += (x - center) * (x - center);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

double student_t_quantile(double p, std::size_t freedom) {
  if (!(p > 0 && p < 1)) {
    throw Error(fmt::format("Student's t: expected a probability between 0 and 1, got {}", p));
  }
  return boost::math::quantile(student_t(freedom), p);
}

double student_t_two_sided(double t, std::size_t freedom) {
  const auto distribution = student_t(freedom);
  if (std::isinf(t)) return 0;
  return 2 * boost::math::cdf(boost::math::complement(distribution, std::abs(t)));
}

Interval mean_interval(std::span<const double> values, double confidence) {
  need("interval of a mean", values.size(), 2);
  const double center = mean(values);
  const double half = half_width(standard_deviation(values), values.size(), confidence);
  return {center - half, center + half};
}

const EnumNames<Statistic>& enum_names(Statistic) {
  static const EnumNames<Statistic> names(
      "statistic",
      {{Statistic::mean, "mean"}, {Statistic::trimmed, "trimmed"}, {Statistic::median, "median"}});
  return names;
}

double center(std::span<const double> values, Statistic statistic) {
  need("middle of values", values.size(), 1);
  switch (statistic) {
    case Statistic::trimmed:
      return trimmed_mean(sorted(values));
    case Statistic::median:
      return median(sorted(values));
    case Statistic::mean:
      break;
  }
  return mean(values);
}

Interval center_interval(std::span<const double> values, Statistic statistic, double confidence) {
  need("interval of a middle", values.size(), 2);
  switch (statistic) {
    case Statistic::trimmed:
      return trimmed_interval(sorted(values), confidence);
    case Statistic::median:
      return median_interval(sorted(values), confidence);
    case Statistic::mean:
      break;
  }
  return mean_interval(values, confidence);
}

Interval block_bootstrap(std::span<const double> blocks, double confidence) {
  constexpr std::size_t resamples = 10'000;
  need("block bootstrap", blocks.size(), 2);
  const auto n = static_cast<double>(blocks.size());
  std::vector<double> means(resamples);
  for (std::size_t i = 0; i < resamples; ++i) {
    const RandomKey key{.seed = 1, .stream = 0, .step = static_cast<std::uint32_t>(i)};
    for (std::size_t j = 0; j < blocks.size(); ++j) {
      const double at = n * static_cast<double>(key.uniform(j));
      means[i] += blocks[std::min(blocks.size() - 1, static_cast<std::size_t>(at))] / n;
    }
  }
  std::sort(means.begin(), means.end());
  const auto beyond = static_cast<std::size_t>((1 - confidence) / 2 * resamples);
  return {means[beyond], means[resamples - 1 - beyond]};
}

PairedTest paired_t_test(std::span<const double> a, std::span<const double> b, double confidence) {
  if (a.size() != b.size()) {
    throw Error(fmt::format("paired t-test: expected as many values on both sides, got {} and {}",
                            a.size(), b.size()));
  }
  need("paired t-test", a.size(), 2);
  std::vector<double> differences(a.size());
  std::transform(a.begin(), a.end(), b.begin(), differences.begin(), std::minus<>());

  PairedTest test;
  test.n = a.size();
  test.difference = mean(differences);
  test.deviation = standard_deviation(differences);
  test.interval = mean_interval(differences, confidence);
  const double error = test.deviation / std::sqrt(static_cast<double>(test.n));
  if (error > 0) {
    test.t = test.difference / error;
  } else if (test.difference != 0) {
    test.t = std::copysign(std::numeric_limits<double>::infinity(), test.difference);
  }
  test.p = student_t_two_sided(test.t, test.n - 1);
  return test;
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return p[i] < p[j]; });
  std::vector<double> corrected(p.size());
  double highest = 0;
  for (std::size_t j = 0; j < order.size(); ++j) {
    const double scaled = std::min(1.0, static_cast<double>(p.size() - j) * p[order[j]]);
    highest = std::max(highest, scaled);
    corrected[order[j]] = highest;
  }
  return corrected;
}

const EnumNames<Verdict>& enum_names(Verdict) {
  static const EnumNames<Verdict> names("verdict",
                                        {{Verdict::better, "better"},
                                         {Verdict::worse, "worse"},
                                         {Verdict::not_distinguishable, "not distinguishable"},
                                         {Verdict::untested, "untested"}});
  return names;
}

std::vector<PairResult> compare_all(const std::vector<std::vector<double>>& values,
                                    double confidence) {
  std::vector<PairResult> pairs;
  std::vector<double> p;
  std::vector<std::size_t> tested;
  for (std::size_t a = 0; a < values.size(); ++a) {
    for (std::size_t b = a + 1; b < values.size(); ++b) {
      PairResult pair{.a = a, .b = b, .test = {}};
      const std::size_t shared = std::min(values[a].size(), values[b].size());
      const auto of_a = std::span(values[a]).first(shared);
      const auto of_b = std::span(values[b]).first(shared);
      if (shared >= 2 && all_finite(of_a) && all_finite(of_b)) {
        pair.test = paired_t_test(of_a, of_b, confidence);
        p.push_back(pair.test.p);
        tested.push_back(pairs.size());
      }
      pairs.push_back(pair);
    }
  }
  const std::vector<double> corrected = holm(p);
  for (std::size_t i = 0; i < tested.size(); ++i) {
    PairResult& pair = pairs[tested[i]];
    pair.corrected_p = corrected[i];
    if (pair.corrected_p > 1 - confidence) {
      pair.verdict = Verdict::not_distinguishable;
    } else {
      pair.verdict = pair.test.difference < 0 ? Verdict::better : Verdict::worse;
    }
  }
  return pairs;
}

}  // namespace sluice
