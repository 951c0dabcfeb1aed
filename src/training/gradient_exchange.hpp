#pragma once
// The seam between gradients and the update.

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "micro_sums.hpp"
#include "sluice/training/optimizer.hpp"

namespace sluice {

/// Which scalars of a leaf's sum a process needs: of the leaves 0 to `leaves` - 1 those of `range`,
/// of others all.
struct LeafDivision {
  std::size_t leaves = 0;
  std::function<ScalarRange(std::size_t leaf, int rank)> range;
};

/// What happens to gradients between the backward pass and the update: nothing, unless several
/// processes learn together and sum theirs. Called on the thread that trains.
class GradientExchange {
 public:
  virtual ~GradientExchange() = default;
  /// The micro-batches of each step that this process computes.
  virtual MicroBatches share() const = 0;
  /// Before the first step: from now on each process gets its own part of dense sums alone, and
  /// what else a total holds means nothing.
  virtual void divide(LeafDivision division) = 0;
  /// This process's part of a leaf's sum is complete; the backward pass goes on when this returns.
  /// Each leaf (a parameter, then a running statistic) once a step. `part` stays as it is until
  /// finish() returns; `total` is empty.
  virtual void ready(std::size_t leaf, const MicroSum& part, GradientSlot& total) = 0;
  /// All were ready. When this returns, every total holds the sum over all processes, and `values`,
  /// as many of each micro-batch, are known of all micro-batches; this process knew its share's.
  virtual void finish(std::span<double> values) = 0;
  /// Does what finish() does with `values`, in a step that sums no gradients.
  virtual void share_values(std::span<double> values) = 0;
  /// Each process has changed its own part of the leaves' values: all get them all.
  virtual void share_updates(std::span<const Tensor> values) = 0;
  /// The numbers of all processes, in the order of their ranks: `mine` are this process's, and
  /// process r has counts[r] of them.
  virtual std::vector<double> gather(std::span<const double> mine,
                                     std::span<const std::size_t> counts) = 0;
};

}  // namespace sluice
