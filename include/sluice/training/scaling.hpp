#pragma once
// How fast several processes would train, by arithmetic.

#include <cstdint>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/models/language_model.hpp"
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
  /// Bytes of gradients in each bucket, in the order in which they go (gradient_buckets()), and the
  /// share of them that travels: half where TrainConfig::communicate rounds them.
  std::vector<double> buckets;
  double sent_share = 1;
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

/// Bytes of the buckets that the model's gradients travel in, cut as training does. Each counts as
/// dense, and as completed from the last of the file to the first, which is how a backward pass
/// mostly goes.
std::vector<double> gradient_buckets(const LanguageModel& model);

/// A step of N processes with a micro-batch each (weak scaling), of t seconds alone, whose G bytes
/// of gradients go in buckets of G_1, G_2, .. bytes, of which the share S travels. With d the
/// deviation of t, latency L and bandwidth B, and o = 2 µs to begin a message:
///   a bucket's three exchanges   b_k = 3 (L + (N - 1) o) + 2 (N - 1)/N · S G_k / B
///   packing and adding           w = 2 (N - 1)/N · G · 0.6 ns, on the core that computes
///   waiting for the slowest      s = d · expected_largest(N)
///   the backward pass            p = 2/3 t; it completes a bucket when p has gone by in proportion
///                                to the bytes: r_k = p (G_1 + .. + G_k) / G
///   a bucket is there            e_k = max(e_(k-1), r_k) + b_k
///   agreeing                     a = 2 (L + (N - 1) o)
///   step                         T = t + s + w + (e_K - p) + a
///   with workers synchronised every H steps, all at once   T = t + s / √H + (w + Σ b_k) / H + a
/// and efficiency t / T. Every gradient counts as dense; 2/3 and o are estimates.
///
/// The 0.6 ns per byte are from two processes on one machine, where 2 (N - 1)/N is 1, a core each,
/// training 8 layers of width 256 and 512, before large leaves were sent from where they are: the
/// share of samples by perf (997 a second) that packing, moving and adding had, on the thread that
/// speaks and on the one that computes, of the time of a step, over G (docs/cluster.md, "What to
/// expect").
ScalingPoint predict_scaling(const StepCost& cost, const Network& network, std::int64_t processes);

}  // namespace sluice
SLUICE_API_END
