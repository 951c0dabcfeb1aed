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
}

Sampler::Sampler(const SamplingOptions& options) : options_(options) { options_.validate(); }

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

  weights_.resize(order_.size());
  double total = 0;
  for (std::size_t i = 0; i < order_.size(); ++i) weights_[i] = total += weight(order_[i]);
  const RandomKey key{options_.seed, sampler_stream, 0};
  const double target = key.uniform_double(draw) * total;
  // The first running sum beyond the target; rounding may leave none, then it is the last.
  const auto found = std::upper_bound(weights_.begin(), weights_.end(), target);
  const std::size_t chosen =
      std::min(static_cast<std::size_t>(found - weights_.begin()), order_.size() - 1);
  return order_[chosen];
}

}  // namespace sluice
