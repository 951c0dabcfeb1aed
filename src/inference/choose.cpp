#include "choose.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "sluice/base/error.hpp"
#include "sluice/kernels/detail/choose.hpp"

namespace sluice::detail {
namespace {

using kernels::kChoiceBlock;

/// Running sums closer to what is looked for than this share of the total are not trusted: sums of
/// double, in any order, are closer to each other by far.
constexpr double margin = 1e-11;

std::size_t blocks_of(std::size_t n) { return (n + kChoiceBlock - 1) / kChoiceBlock; }

struct Candidate {
  float log = 0;
  std::int32_t id = 0;
  double weight = 0;
};

bool more_probable(const Candidate& a, const Candidate& b) {
  return a.log != b.log ? a.log > b.log : a.id < b.id;
}

double total_of(std::span<const Candidate> candidates) {
  double sum = 0;
  for (const Candidate& each : candidates) sum += each.weight;
  return sum;
}

/// What is left of a distribution, and whether its borders are beyond doubt.
class Choice {
 public:
  Choice(const Peaks& peaks, const SamplingOptions& options)
      : peaks_(peaks), options_(options), left_(memory()) {
    left_.clear();
  }

  /// Nothing where rounding could decide.
  std::optional<std::int32_t> at(double uniform);

 private:
  double weight(double log) const { return std::exp((log - peaks_.peak()) / options_.temperature); }
  void keep(std::size_t place, float log) {
    left_.push_back({log, static_cast<std::int32_t>(place), weight(log)});
  }
  static std::vector<Candidate>& memory() {
    thread_local std::vector<Candidate> candidates;
    return candidates;
  }
  std::span<const double> block_weights();
  std::optional<std::int32_t> of_all(double uniform);
  void collect();
  void collect_mass();
  void restrict_to_typical();
  template <class Less>
  std::size_t crossing(double mass, double total, Less less);

  const Peaks& peaks_;
  const SamplingOptions& options_;
  std::vector<Candidate>& left_;
  bool certain_ = true;
};

std::span<const double> Choice::block_weights() {
  thread_local std::vector<double> sums;
  const std::span<const float> logs = peaks_.logs();
  sums.resize(blocks_of(logs.size()));
  const double scale = std::min(1 / options_.temperature, 1e300);
  kernels::block_weights(sums.data(), logs.data(), logs.size(), peaks_.peak(), scale);
  return sums;
}

std::optional<std::int32_t> Choice::of_all(double uniform) {
  const std::span<const double> sums = block_weights();
  const double total = std::accumulate(sums.begin(), sums.end(), 0.0);
  const double target = uniform * total, doubt = margin * total;
  double running = 0;
  std::size_t block = 0;
  while (block < sums.size() && running + sums[block] <= target) running += sums[block++];
  if (block == sums.size()) return {};
  const std::span<const float> logs = peaks_.logs();
  const std::size_t begin = block * kChoiceBlock;
  for (std::size_t i = begin; i < std::min(logs.size(), begin + kChoiceBlock); ++i) {
    if (std::abs(running - target) < doubt) return {};
    running += weight(logs[i]);
    if (running <= target) continue;
    if (running - target < doubt) return {};
    return static_cast<std::int32_t>(i);
  }
  return {};
}

/// The least m for which the first m in order of `less` weigh more than `mass` of `total`; they
/// then stand first.
template <class Less>
std::size_t Choice::crossing(double mass, double total, Less less) {
  auto begin = left_.begin();
  auto end = left_.end();
  double before = 0;
  constexpr std::ptrdiff_t few = 32;
  while (end - begin > few) {
    const auto middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end, less);
    const double half = total_of({begin, middle});
    if (before + half > mass) {
      end = middle;
    } else {
      before += half;
      begin = middle;
    }
  }
  std::sort(begin, end, less);
  for (auto it = begin; it != end; ++it) {
    if (std::abs(before - mass) < margin * total) certain_ = false;
    before += it->weight;
    if (before <= mass) continue;
    if (before - mass < margin * total) certain_ = false;
    return static_cast<std::size_t>(it - left_.begin()) + 1;
  }
  certain_ = false;
  return left_.size();
}

// The most probable tokens that have top_p of the mass: those above a line that falls until they
// have.
void Choice::collect_mass() {
  const std::span<const double> sums = block_weights();
  const double total = std::accumulate(sums.begin(), sums.end(), 0.0);
  const double mass = options_.top_p * total;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  float up_to = infinity;
  double found = 0;
  for (double depth = 1; found <= mass && up_to > -infinity; depth *= 2) {
    const float above =
        depth > 1000 ? -infinity : static_cast<float>(peaks_.peak() - depth * options_.temperature);
    const std::size_t first = left_.size();
    peaks_.for_each_above(above, up_to, [&](std::size_t place, float log) { keep(place, log); });
    found += total_of(std::span(left_).subspan(first));
    up_to = above;
  }
  left_.resize(crossing(mass, total, more_probable));
}

void Choice::collect() {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  if (options_.top_k > 0) {
    for (const std::size_t place : peaks_.largest(static_cast<std::size_t>(options_.top_k))) {
      keep(place, peaks_.logs()[place]);
    }
    if (options_.top_p < 1) {
      const double total = total_of(left_);
      left_.resize(crossing(options_.top_p * total, total, more_probable));
    }
  } else if (options_.top_p < 1) {
    collect_mass();
  } else {
    // A little lower than the line, which the weights decide.
    const double line = options_.min_p > 0 ? peaks_.peak() + options_.temperature *
                                                                 (std::log(options_.min_p) - 1e-6)
                                           : -static_cast<double>(infinity);
    const auto above = std::nextafter(static_cast<float>(line), -infinity);
    peaks_.for_each_above(above, infinity, [&](std::size_t place, float log) { keep(place, log); });
  }
}

void Choice::restrict_to_typical() {
  const auto surprise = [&](const Candidate& each) {
    return (peaks_.peak() - static_cast<double>(each.log)) / options_.temperature;
  };
  std::erase_if(left_, [](const Candidate& each) { return !(each.weight > 0); });
  double mean = 0;
  for (const Candidate& each : left_) mean += each.weight * surprise(each);
  const double total = total_of(left_);
  mean /= total;
  left_.resize(
      crossing(options_.typical * total, total, [&](const Candidate& a, const Candidate& b) {
        const double x = std::abs(surprise(a) - mean);
        const double y = std::abs(surprise(b) - mean);
        return x != y ? x < y : a.id < b.id;
      }));
}

std::optional<std::int32_t> Choice::at(double uniform) {
  if (options_.top_k == 0 && options_.top_p == 1 && options_.min_p == 0 && options_.typical == 1) {
    return of_all(uniform);
  }
  collect();
  if (options_.min_p > 0) {
    std::erase_if(left_, [&](const Candidate& each) { return each.weight < options_.min_p; });
  }
  if (options_.typical < 1) restrict_to_typical();
  const double total = total_of(left_);
  const std::size_t place = crossing(uniform * total, total, more_probable) - 1;
  if (!certain_) return {};
  return left_[place].id;
}

}  // namespace

Peaks::Peaks(std::span<const float> log_probabilities) : logs_(log_probabilities) {
  if (logs_.empty()) throw Error("sampling: the vocabulary is empty");
  thread_local std::vector<float> peaks;
  peaks.resize(blocks_of(logs_.size()));
  if (kernels::block_peaks(peaks.data(), logs_.data(), logs_.size())) {
    const auto odd =
        std::find_if(logs_.begin(), logs_.end(), [](float log) { return std::isnan(log); });
    throw Error(
        fmt::format("sampling: the log-probability of token {} is not a number; the model is "
                    "damaged or has diverged",
                    odd - logs_.begin()));
  }
  peaks_ = peaks;
  const auto block = std::max_element(peaks.begin(), peaks.end());
  const auto begin =
      logs_.begin() + (block - peaks.begin()) * static_cast<std::ptrdiff_t>(kChoiceBlock);
  best_ = static_cast<std::size_t>(std::find(begin, logs_.end(), *block) - logs_.begin());
}

template <class F>
void Peaks::for_each_above(float above, float up_to, F&& f) const {
  for (std::size_t block = 0; block < peaks_.size(); ++block) {
    if (!(peaks_[block] > above)) continue;
    const std::size_t begin = block * kChoiceBlock;
    for (std::size_t i = begin; i < std::min(logs_.size(), begin + kChoiceBlock); ++i) {
      if (logs_[i] > above && logs_[i] <= up_to) f(i, logs_[i]);
    }
  }
}

std::vector<std::size_t> Peaks::largest(std::size_t count) const {
  count = std::min(count, logs_.size());
  std::vector<std::size_t> pool;
  if (count == 0) return pool;
  const auto larger = [&](std::size_t a, std::size_t b) {
    return logs_[a] != logs_[b] ? logs_[a] > logs_[b] : a < b;
  };
  // Of twice as many as are wanted half are given up, and with them all that is no larger.
  const std::size_t most = std::min(2 * count + kChoiceBlock, logs_.size());
  float least = -std::numeric_limits<float>::infinity();
  bool bounded = false;
  const auto cut = [&] {
    if (pool.size() <= count) return;
    const auto last = pool.begin() + static_cast<std::ptrdiff_t>(count - 1);
    std::nth_element(pool.begin(), last, pool.end(), larger);
    pool.resize(count);
    least = logs_[pool.back()];
    bounded = true;
  };
  for (std::size_t block = 0; block < peaks_.size(); ++block) {
    if (bounded && !(peaks_[block] > least)) continue;
    const std::size_t begin = block * kChoiceBlock;
    for (std::size_t i = begin; i < std::min(logs_.size(), begin + kChoiceBlock); ++i) {
      if (!bounded || logs_[i] > least) pool.push_back(i);
    }
    if (pool.size() >= most) cut();
  }
  cut();
  std::sort(pool.begin(), pool.end(), larger);
  return pool;
}

std::int32_t choose(const Peaks& peaks, const SamplingOptions& options, double uniform) {
  const std::optional<std::int32_t> chosen = Choice(peaks, options).at(uniform);
  return chosen ? *chosen : choose_plainly(peaks, options, uniform);
}

}  // namespace sluice::detail
