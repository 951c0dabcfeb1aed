#include "sluice/inference/sample.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sluice/base/error.hpp"
#include "sluice/base/random.hpp"

namespace sluice {
namespace {

/// The sampler's stream of random numbers ("samp"), apart from those of dropout and initialisers.
constexpr std::uint32_t sampler_stream = 0x73616D70;

}  // namespace

void SamplingOptions::validate() const {
  if (!(temperature >= 0) || std::isinf(temperature)) {
    throw UsageError(
        fmt::format("sampling: the temperature must be 0 or more, got {}", temperature));
  }
  if (top_k < 0) {
    throw UsageError(fmt::format("sampling: top-k must be 0 (all) or more, got {}", top_k));
  }
  if (!(top_p > 0 && top_p <= 1)) {
    throw UsageError(
        fmt::format("sampling: top-p must be more than 0 and at most 1, got {}", top_p));
  }
  if (!(min_p >= 0 && min_p <= 1)) {
    throw UsageError(fmt::format("sampling: min-p must be from 0 to 1, got {}", min_p));
  }
  if (!(typical > 0 && typical <= 1)) {
    throw UsageError(
        fmt::format("sampling: typical must be more than 0 and at most 1, got {}", typical));
  }
}

Sampler::Sampler(const SamplingOptions& options) : options_(options) { options_.validate(); }

void Sampler::restrict_to_typical() {
  double total = 0, surprise = 0;
  for (const double weight : weights_) {
    total += weight;
    if (weight > 0) surprise -= weight * std::log(weight);
  }
  // |-ln p - H| is |s - mean of s| for s = -ln w, whatever w are multiples of.
  const double mean = surprise / total;
  struct Candidate {
    double distance;
    std::size_t place;
  };
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < order_.size(); ++i) {
    if (weights_[i] > 0) candidates.push_back({std::abs(-std::log(weights_[i]) - mean), i});
  }
  // A heap, the most typical first (the lower id of equals), popped only as far as is kept.
  const auto later = [&](const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance > b.distance : order_[a.place] > order_[b.place];
  };
  std::make_heap(candidates.begin(), candidates.end(), later);
  std::vector<std::size_t> kept;
  double popped = 0;
  while (!candidates.empty() && popped < options_.typical * total) {
    std::pop_heap(candidates.begin(), candidates.end(), later);
    popped += weights_[candidates.back().place];
    kept.push_back(candidates.back().place);
    candidates.pop_back();
  }
  std::sort(kept.begin(), kept.end());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    order_[i] = order_[kept[i]];
    weights_[i] = weights_[kept[i]];
  }
  order_.resize(kept.size());
  weights_.resize(kept.size());
}

std::int32_t Sampler::draw(std::span<const float> log_probabilities) {
  if (log_probabilities.empty()) throw Error("sampling: the vocabulary is empty");
  std::size_t best = 0;
  for (std::size_t i = 0; i < log_probabilities.size(); ++i) {
    if (std::isnan(log_probabilities[i])) {
      throw Error(
          fmt::format("sampling: the log-probability of token {} is not a number; the model "
                      "is damaged or has diverged",
                      i));
    }
    if (log_probabilities[i] > log_probabilities[best]) best = i;
  }
  const double peak = log_probabilities[best];
  if (std::isinf(peak)) throw Error("sampling: no token has a finite log-probability");
  const std::uint64_t draw = draws_++;
  if (options_.temperature == 0) return static_cast<std::int32_t>(best);

  // Relative to the peak, so that the most probable token weighs 1 whatever the temperature.
  const auto weight = [&](std::int32_t id) {
    return std::exp((log_probabilities[static_cast<std::size_t>(id)] - peak) /
                    options_.temperature);
  };
  order_.resize(log_probabilities.size());
  std::iota(order_.begin(), order_.end(), 0);
  const bool limited = options_.top_k > 0 || options_.top_p < 1;
  if (limited) {
    // A heap, most probable first (the lower id of equals), popped only as far as is kept.
    const auto less = [&](std::int32_t a, std::int32_t b) {
      const float x = log_probabilities[static_cast<std::size_t>(a)];
      const float y = log_probabilities[static_cast<std::size_t>(b)];
      return x != y ? x < y : a > b;
    };
    double mass = 0;
    const auto most = options_.top_k > 0
                          ? std::min(static_cast<std::size_t>(options_.top_k), order_.size())
                          : order_.size();
    std::make_heap(order_.begin(), order_.end(), less);
    auto end = order_.end();
    // The nucleus is a share of what top-k leaves, whose sum is known only once that is popped.
    if (options_.top_k == 0) {
      for (const std::int32_t id : order_) mass += weight(id);
    }
    std::size_t kept = 0;
    double popped = 0;
    while (kept < most && (options_.top_k > 0 || popped < options_.top_p * mass)) {
      std::pop_heap(order_.begin(), end, less);
      --end;
      popped += weight(*end);
      ++kept;
    }
    std::reverse(end, order_.end());
    order_.erase(order_.begin(), end);
    if (options_.top_k > 0 && options_.top_p < 1) {
      double sum = 0;
      std::size_t nucleus = 0;
      while (nucleus < order_.size() && sum < options_.top_p * popped)
        sum += weight(order_[nucleus++]);
      order_.resize(nucleus);
    }
  }

  if (options_.min_p > 0) {
    std::erase_if(order_, [&](std::int32_t id) { return weight(id) < options_.min_p; });
  }
  weights_.resize(order_.size());
  for (std::size_t i = 0; i < order_.size(); ++i) weights_[i] = weight(order_[i]);
  if (options_.typical < 1) restrict_to_typical();

  double total = 0;
  for (std::size_t i = 0; i < order_.size(); ++i) weights_[i] = total += weights_[i];
  const RandomKey key{options_.seed, sampler_stream, 0};
  const double target = key.uniform_double(draw) * total;
  // The first running sum beyond the target; rounding may leave none, then it is the last.
  const auto found = std::upper_bound(weights_.begin(), weights_.end(), target);
  const std::size_t chosen =
      std::min(static_cast<std::size_t>(found - weights_.begin()), order_.size() - 1);
  return order_[chosen];
}

}  // namespace sluice
