#pragma once
// Local learning: workers that share what they have learnt now and then.

#include <cstdint>
#include <vector>

#include "gradient_exchange.hpp"
#include "micro_sums.hpp"
#include "sluice/nn/module.hpp"
#include "sluice/training/config.hpp"
#include "sluice/training/optimizer.hpp"

namespace sluice {

/// DiLoCo (Douillard et al. 2023, "DiLoCo: Distributed low-communication training of language
/// models", algorithm 1). Each micro-batch of a step is a worker with weights θ_k and an optimizer
/// of its own, which learns from that micro-batch alone. A synchronisation takes the mean of
/// θ - θ_k over all workers, summed as MicroSum does, for a gradient of the common weights θ, which
/// an outer optimizer moves; every worker goes on from there. Running statistics become their mean
/// over the workers.
///
/// Between turns the model has the common weights.
class LocalWorkers {
 public:
  /// The workers `own` of all config.accumulate. `parameters` must outlive it.
  LocalWorkers(const Parameters& parameters, const TrainConfig& config, MicroBatches own);

  /// While it lives, the model has the weights of worker `micro`.
  class Turn {
   public:
    Turn(LocalWorkers& workers, std::int64_t micro) : workers_(workers), micro_(micro) {
      workers_.swap(micro_);
    }
    ~Turn() { workers_.swap(micro_); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    LocalWorkers& workers_;
    std::int64_t micro_;
  };

  MicroBatches own() const { return own_; }
  Optimizer& optimizer(std::int64_t micro) { return worker(micro).optimizer; }
  /// What the optimizer of the common weights is by.
  static OptimizerConfig outer(const TrainConfig& config);

  /// Sums the differences of each parameter, or the values of a running statistic: `exchange` is
  /// told that they are ready, and to be finished then; without one the totals are complete.
  void offer(GradientExchange* exchange);
  /// Takes the sums over all workers: `optimizer`, of the common weights, makes its update.
  void update(Optimizer& optimizer);
  /// Every worker goes on from the common weights, which are what they must be.
  void adopt();

  /// Weights and running statistics of worker `micro`, as long as the parameters.
  std::vector<Tensor>& weights(std::int64_t micro) { return worker(micro).weights; }

 private:
  struct Worker {
    Optimizer optimizer;
    std::vector<Tensor> weights;
  };
  Worker& worker(std::int64_t micro) {
    return workers_[static_cast<std::size_t>(micro - own_.begin)];
  }
  void swap(std::int64_t micro);
  /// Where the sum of parameter p is put.
  GradientSlot& total(std::size_t p);

  const Parameters& parameters_;
  const TrainConfig& config_;
  MicroBatches own_;
  std::vector<Worker> workers_;
  std::vector<MicroSum> sums_;
  /// Of running statistics, which have no gradient; null of others.
  std::vector<Gradient> totals_;
};

}  // namespace sluice
