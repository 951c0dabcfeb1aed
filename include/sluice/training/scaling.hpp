#pragma once
// How fast several processes would train, by arithmetic.

#include <cstdint>
#include <string_view>

#include "sluice/base/api.hpp"
#include "sluice/training/metrics.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A message between two processes takes latency + bytes / bandwidth seconds.
struct Network {
  double latency = 50e-6;
  double bandwidth = 1.25e9;
};

/// What one process does in a step: one micro-batch.
struct StepCost {
  /// Measured alone, and the targets learnt from.
  double seconds = 0;
  std::int64_t tokens = 0;
  /// By how much such seconds differ: their standard deviation.
  double deviation = 0;
  /// Of all gradients, and what of them travels (TrainConfig::communicate).
  double gradient_bytes = 0;
  double sent_bytes = 0;
  /// TrainConfig::sync_every.
  std::int64_t sync_every = 0;
};

/// Of one token's share of a step: the mean of what the lines of a run tell (but for the first,
/// whose steps include the start, and those with a validation between), and the standard deviation
/// of a line's own mean. With a line for each step that is a step's; with lines for many it has
/// what changes slowly, and little of what changes from step to step. Without two such lines the
/// last line's recent speed and 0; 0 and 0 when there is none.
struct TokenTimes {
  double seconds = 0, deviation = 0;
};
TokenTimes token_times(const Metrics& metrics);

/// How many standard deviations the largest of N values of a normal distribution is above the mean,
/// on average.
double expected_largest(std::int64_t n);

/// What takes most of the time that is lost.
enum class ScalingLimit : std::uint8_t { nothing, latency, bandwidth, work, slowest };
std::string_view name_of_limit(ScalingLimit limit);

struct ScalingPoint {
  std::int64_t processes = 1;
  double step_seconds = 0;
  double tokens_per_second = 0;
  /// Of what as many processes would do that need not speak with each other.
  double efficiency = 1;
  ScalingLimit limit = ScalingLimit::nothing;
};

/// A step of N processes with a micro-batch each (weak scaling), of t seconds alone, whose G bytes
/// of gradients go in K = ⌈G / 4 MB⌉ buckets (training/rank_exchange), S bytes in all. With d the
/// deviation of t, latency L and bandwidth B, and o = 2 µs to begin a message:
///   a bucket's three exchanges   b = 3 (L + (N - 1) o) + 2 (N - 1)/N · (S/K) / B
///   packing and adding           w = G · 0.6 ns, on the core that computes
///   waiting for the slowest      s = d · expected_largest(N)
///   what has time to hide        h = 2/3 t · (K - 1)/K, the backward pass but for the last bucket
///   agreeing                     a = 2 (L + (N - 1) o)
///   step                         T = t + s + w + max(b, K b - h) + a
///   with workers synchronised every H steps, all at once   T = t + s / √H + (w + K b) / H + a
/// and efficiency t / T. Every gradient counts as dense; the 0.6 ns are what two processes on one
/// machine took (docs/results.md, "Several processes"), 2/3 and o are estimates.
ScalingPoint predict_scaling(const StepCost& cost, const Network& network, std::int64_t processes);

}  // namespace sluice
SLUICE_API_END
