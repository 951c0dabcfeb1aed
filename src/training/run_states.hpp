#pragma once
// The parts of a training run that checkpoints hold.

#include "loop.hpp"
#include "rank_exchange.hpp"
#include "rank_group.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/training/detail/checkpoint.hpp"
#include "sluice/training/optimizer.hpp"
#include "stateful.hpp"

namespace sluice {

/// A model's parameters, in the files' layout.
class ParametersState : public Stateful {
 public:
  explicit ParametersState(const Parameters& parameters) : parameters_(parameters) {}
  std::string_view name() const override { return "parameter"; }
  SavedState save() const override;
  void check(const StoredState& stored) const override;
  void restore(const StoredState& stored) override;

 private:
  const Parameters& parameters_;
};

/// A state of which each process has a part: the leader saves all of it, and the others call send()
/// at the same time.
class SharedState : public Stateful {
 public:
  virtual void send() const = 0;
};

/// Of an optimizer that is one of several shards each process has its own.
class OptimizerState : public SharedState {
 public:
  OptimizerState(Optimizer& optimizer, RankGroup ranks) : optimizer_(optimizer), ranks_(ranks) {}
  std::string_view name() const override { return "optimizer"; }
  SavedState save() const override;
  void check(const StoredState& stored) const override { optimizer_.check_state(stored.tensors); }
  void restore(const StoredState& stored) override { optimizer_.load_state(stored.tensors); }
  void send() const override;

 private:
  /// A tensor of moments, of this process's part and what others send.
  Tensor whole(std::size_t p, const Tensor& part) const;

  Optimizer& optimizer_;
  RankGroup ranks_;
};

/// What a model carries from chunk to chunk, of every micro-batch one after the other. Layers that
/// carry nothing have an undefined tensor; the field "carried", a list of ones and zeros, puts the
/// others back in their places.
class CarriedState : public SharedState {
 public:
  /// Of several processes each has the states of its share.
  CarriedState(std::vector<ModelState>& states, RankGroup ranks) : states_(states), ranks_(ranks) {}
  std::string_view name() const override { return "carried"; }
  SavedState save() const override;
  void check(const StoredState& stored) const override;
  void restore(const StoredState& stored) override;
  void send() const override;

 private:
  MicroBatches share() const { return ranks_.share(static_cast<std::int64_t>(states_.size())); }

  std::vector<ModelState>& states_;
  RankGroup ranks_;
};

/// Of each worker (LocalWorkers) its optimizer, as "MICRO.first.NAME" and so on, and, when it has
/// learnt since the last synchronisation, its weights, "MICRO.weight.NAME"; the field "local_steps"
/// says how long ago that was. The part of the common weights comes before it.
class WorkersState : public SharedState {
 public:
  /// `loop` has workers.
  WorkersState(Loop& loop, const Parameters& parameters, RankGroup ranks, std::int64_t workers)
      : loop_(loop), parameters_(parameters), ranks_(ranks), workers_in_all_(workers) {}
  std::string_view name() const override { return "worker"; }
  SavedState save() const override;
  void check(const StoredState& stored) const override;
  void restore(const StoredState& stored) override;
  void send() const override;

 private:
  /// What a checkpoint has of one worker, by names without a prefix.
  struct Stored {
    TensorSources optimizer, weights;
  };
  static std::string prefix_of(std::int64_t micro);
  static Stored stored_of(const StoredState& stored, std::int64_t micro);
  TensorSources sources_of(std::int64_t micro) const;

  Loop& loop_;
  const Parameters& parameters_;
  RankGroup ranks_;
  std::int64_t workers_in_all_;
};

/// What rounding left in each process of what it sends (SumWire), "RANK.LEAF" [slots, elements].
/// Restored in another number of processes it is added up, and the first one sends all of it.
class RoundingState : public SharedState {
 public:
  RoundingState(RankExchange& exchange, RankGroup ranks) : exchange_(exchange), ranks_(ranks) {}
  std::string_view name() const override { return "rounding"; }
  SavedState save() const override;
  void check(const StoredState& stored) const override;
  void restore(const StoredState& stored) override;
  void send() const override;

 private:
  RankExchange& exchange_;
  RankGroup ranks_;
};

/// The fields of TrainState.
class PositionState : public Stateful {
 public:
  explicit PositionState(TrainState& state) : state_(state) {}
  std::string_view name() const override { return "position"; }
  SavedState save() const override;
  void check(const StoredState& stored) const override;
  void restore(const StoredState& stored) override;

 private:
  TrainState& state_;
};

/// The state that `fields`, a checkpoint's, hold. Throws Error naming `file` and the first field
/// that is missing or wrong.
TrainState train_state_of(const std::string& file, const Value& fields);

}  // namespace sluice
