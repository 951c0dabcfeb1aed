#pragma once
// The seam between gradients and the update.

#include <cstddef>
#include <span>

#include "micro_sums.hpp"

namespace sluice {

/// What happens to gradients between the backward pass and the update: nothing, unless several
/// processes learn together and sum theirs. Called on the thread that trains.
class GradientExchange {
 public:
  virtual ~GradientExchange() = default;
  /// The micro-batches of each step that this process computes.
  virtual MicroBatches share() const = 0;
  /// This process's part of a leaf's sum is complete; the backward pass goes on when this returns.
  /// Each leaf (a parameter, then a running statistic) once a step. `part` stays as it is until
  /// finish() returns; `total` is empty.
  virtual void ready(std::size_t leaf, const MicroSum& part, GradientSlot& total) = 0;
  /// All were ready. When this returns, every total holds the sum over all processes, and `values`,
  /// as many of each micro-batch, are known of all micro-batches; this process knew its share's.
  virtual void finish(std::span<double> values) = 0;
  /// The same of `values` alone, in a step of which nothing is summed.
  virtual void share_values(std::span<double> values) = 0;
  /// Each process has changed a run of a parameter's scalars, `counts` says how many each, one run
  /// after the other: all get them all.
  virtual void share_runs(const Tensor& parameter, std::span<const std::int64_t> counts) = 0;
};

}  // namespace sluice
