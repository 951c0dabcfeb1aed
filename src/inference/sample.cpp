#include "sluice/inference/sample.hpp"

#include <fmt/format.h>

#include <cmath>

#include "choose.hpp"
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

std::int32_t Sampler::draw(std::span<const float> log_probabilities) {
  const detail::Peaks peaks(log_probabilities);
  if (!peaks.possible()) throw Error("sampling: no token has a finite log-probability");
  const std::uint64_t draw = draws_++;
  if (options_.temperature == 0) return static_cast<std::int32_t>(peaks.best());
  const RandomKey key{options_.seed, sampler_stream, 0};
  return detail::choose(peaks, options_, key.uniform_double(draw));
}

}  // namespace sluice
