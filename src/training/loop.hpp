#pragma once
// One training step after another: read, forward, backward, update.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "gradient_exchange.hpp"
#include "local_workers.hpp"
#include "micro_sums.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/text/batches.hpp"
#include "sluice/training/config.hpp"
#include "sluice/training/optimizer.hpp"

namespace sluice {

class Loop {
 public:
  /// What a step came to: nats per token, the learning rate, the gradient's norm before clipping,
  /// and whether it was clipped.
  struct Update {
    double loss = 0, rate = 0, norm = 0;
    bool clipped = false;
  };
  /// Sees each micro-batch of a step before it is learnt from, [B, T] each.
  using Read = std::function<void(std::int64_t step, std::span<const TokenId> inputs,
                                  std::span<const TokenId> targets)>;

  /// `model`, `text` and `config` must outlive it. Throws Error when the text is shorter than a
  /// batch of chunks.
  /// `exchange` may be null: this process computes all micro-batches; else it must outlive the
  /// steps, and the optimizer may be one of several shards.
  Loop(LanguageModel& model, const TokenShards& text, const TrainConfig& config,
       GradientExchange* exchange = nullptr, OptimizerShard shard = {});

  /// Learns from the chunks of step `step` (from 0) at learning rate `rate`: the loss is the mean
  /// over its micro-batches, and so is the gradient, summed as MicroSum does. Throws NotFinite for
  /// the loss or the norm of the gradient; the weights are those before the step then.
  ///
  /// With workers (TrainConfig::sync_every) each micro-batch's worker learns by itself: the norm is
  /// the mean of theirs, clipped what was clipped in one of them. The step after which all have
  /// done a multiple of sync_every ends with a synchronisation; between two the model stays as it
  /// is.
  Update step(std::int64_t step, double rate, const Read& read = {});

  /// Whether the model has all that was learnt: workers may have learnt more.
  bool settled() const { return local_steps_ == 0; }
  /// Synchronises workers that have learnt more.
  void settle();
  /// Null: no workers.
  LocalWorkers* workers() { return workers_ ? &*workers_ : nullptr; }
  /// Steps since workers were synchronised.
  std::int64_t& local_steps() { return local_steps_; }

  /// Targets that a step learns from: of a text in documents on average, padding left out.
  std::int64_t tokens_per_step() const { return stream_.tokens_per_step(); }
  std::int64_t steps_per_epoch() const { return stream_.steps_per_epoch(); }
  const Parameters& trainable() const { return optimizer_.parameters(); }
  Optimizer& optimizer() { return optimizer_; }
  /// What the model carries from one step's chunks to the next's, of each micro-batch that this
  /// process computes.
  std::vector<ModelState>& carried() { return carried_; }

 private:
  MicroBatches share() const;
  /// The loss of micro-batch `micro`, whose gradients are added to the step's.
  double learn_from(std::int64_t step, std::int64_t micro, const Read& read);
  double forward_backward(std::int64_t step, std::int64_t micro);
  /// The mean over a micro-batch's targets, weighted so that the mean over a step's micro-batches
  /// is that over all of its targets.
  Variable loss_of(const Variable& hidden, std::int64_t step, const ForwardOptions& forward);
  /// The gradient of the leaf by micro-batch `micro` is complete.
  void complete(std::size_t leaf, std::int64_t micro);
  /// This process's part of a leaf's sum is complete.
  void complete_part(std::size_t leaf, MicroSum& part, GradientSlot& total);
  /// All processes get what each one's optimizer has updated.
  void share_updates();
  /// That of all gradients, of which this process may have but a part.
  double gradient_norm() const;
  /// All gradients are what the update reads; the loss of the step.
  double join();
  Update step_workers(std::int64_t step, double rate, const Read& read);
  /// The mean step of workers of which each found a loss and a norm, one after the other. Throws
  /// NotFinite.
  Update update_of(std::span<const double> found, double rate) const;
  /// The workers' sums over all processes are there: the model and all workers take them over.
  void synchronise();
  /// Whether gradients are sums of parts.
  bool sums() const { return !workers_ && (config_.accumulate > 1 || exchange_ != nullptr); }

  LanguageModel& model_;
  const TrainConfig& config_;
  BatchStream stream_;
  Optimizer optimizer_;
  StatisticsMean statistics_;
  std::vector<Variable> leaves_;
  std::vector<MicroSum> sums_;  // of each leaf
  std::vector<double> losses_;  // of each micro-batch
  GradientExchange* exchange_;
  std::optional<LocalWorkers> workers_;
  std::int64_t local_steps_ = 0;
  std::vector<TokenId> inputs_;
  std::vector<TokenId> targets_;
  std::vector<std::int32_t> labels_;  // of the targets, where the text has labels
  std::vector<std::uint8_t> starts_;  // of the streams, where the text is in documents
  std::vector<ModelState> carried_;
};

}  // namespace sluice
