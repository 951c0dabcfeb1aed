// choose_plainly(): the definition of what is drawn.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "choose.hpp"

namespace sluice::detail {
namespace {

/// What is left of the tokens: ids, and their weights, relative to the most probable token's.
struct Left {
  std::vector<std::int32_t> ids;
  std::vector<double> weights;

  double total() const { return std::accumulate(weights.begin(), weights.end(), 0.0); }
  /// Keeps the first tokens, of at least `mass` together.
  void keep_mass(double mass) {
    std::size_t kept = 0;
    double sum = 0;
    while (kept < ids.size() && sum < mass) sum += weights[kept++];
    ids.resize(kept);
    weights.resize(kept);
  }
  /// Sorts by less(i, j) of places.
  template <class Less>
  void sort(Less less) {
    std::vector<std::size_t> order(ids.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), less);
    Left sorted;
    for (const std::size_t i : order) {
      sorted.ids.push_back(ids[i]);
      sorted.weights.push_back(weights[i]);
    }
    *this = std::move(sorted);
  }
};

}  // namespace

std::int32_t choose_plainly(const Peaks& peaks, const SamplingOptions& options, double uniform) {
  const std::span<const float> logs = peaks.logs();
  const auto log_of = [&](std::int32_t id) {
    return static_cast<double>(logs[static_cast<std::size_t>(id)]);
  };
  Left left;
  left.ids.resize(logs.size());
  std::iota(left.ids.begin(), left.ids.end(), 0);
  // Relative to the peak, so that the most probable token weighs 1 whatever the temperature.
  for (const std::int32_t id : left.ids) {
    left.weights.push_back(std::exp((log_of(id) - peaks.peak()) / options.temperature));
  }
  const auto by_probability = [&](std::size_t i, std::size_t j) {
    return log_of(left.ids[i]) > log_of(left.ids[j]);
  };
  const bool restricts =
      options.top_k > 0 || options.top_p < 1 || options.min_p > 0 || options.typical < 1;
  if (restricts) left.sort(by_probability);
  if (options.top_k > 0 && static_cast<std::size_t>(options.top_k) < left.ids.size()) {
    left.ids.resize(static_cast<std::size_t>(options.top_k));
    left.weights.resize(static_cast<std::size_t>(options.top_k));
  }
  if (options.top_p < 1) left.keep_mass(options.top_p * left.total());
  if (options.min_p > 0) {
    const auto end = std::find_if(left.weights.begin(), left.weights.end(),
                                  [&](double weight) { return weight < options.min_p; });
    left.ids.resize(static_cast<std::size_t>(end - left.weights.begin()));
    left.weights.erase(end, left.weights.end());
  }
  if (options.typical < 1) {
    // |-ln p - H| is |s - mean of s| for s = -ln w, whatever the weights are multiples of.
    const auto surprise = [&](std::size_t i) {
      return (peaks.peak() - log_of(left.ids[i])) / options.temperature;
    };
    double mean = 0;
    for (std::size_t i = 0; i < left.ids.size(); ++i) {
      if (left.weights[i] > 0) mean += left.weights[i] * surprise(i);
    }
    mean /= left.total();
    left.sort([&](std::size_t i, std::size_t j) {
      const double a = std::abs(surprise(i) - mean), b = std::abs(surprise(j) - mean);
      return a != b ? a < b : left.ids[i] < left.ids[j];
    });
    left.keep_mass(options.typical * left.total());
    left.sort([&](std::size_t i, std::size_t j) {
      return log_of(left.ids[i]) != log_of(left.ids[j]) ? by_probability(i, j)
                                                        : left.ids[i] < left.ids[j];
    });
  }
  double running = 0;
  for (double& weight : left.weights) weight = running += weight;
  // The first running sum beyond the target; rounding may leave none, then it is the last.
  const auto found = std::upper_bound(left.weights.begin(), left.weights.end(), uniform * running);
  return left
      .ids[std::min(static_cast<std::size_t>(found - left.weights.begin()), left.ids.size() - 1)];
}

}  // namespace sluice::detail
