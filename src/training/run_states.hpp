#pragma once
// The parts of a training run that checkpoints hold.

#include "rank_group.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/training/checkpoint.hpp"
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

class OptimizerState : public Stateful {
 public:
  explicit OptimizerState(Optimizer& optimizer) : optimizer_(optimizer) {}
  std::string_view name() const override { return "optimizer"; }
  SavedState save() const override { return {optimizer_.state(), {}}; }
  void check(const StoredState& stored) const override { optimizer_.check_state(stored.tensors); }
  void restore(const StoredState& stored) override { optimizer_.load_state(stored.tensors); }

 private:
  Optimizer& optimizer_;
};

/// What a model carries from chunk to chunk, of every micro-batch one after the other. Layers that
/// carry nothing have an undefined tensor; the field "carried", a list of ones and zeros, puts the
/// others back in their places.
class CarriedState : public Stateful {
 public:
  /// Of several processes each has the states of its share; the leader saves all, and the others
  /// call send() at the same time.
  CarriedState(std::vector<ModelState>& states, RankGroup ranks) : states_(states), ranks_(ranks) {}
  std::string_view name() const override { return "carried"; }
  SavedState save() const override;
  void check(const StoredState& stored) const override;
  void restore(const StoredState& stored) override;
  void send() const;

 private:
  Tensor received(int from, const Tensor& like) const;
  MicroBatches share() const { return ranks_.share(static_cast<std::int64_t>(states_.size())); }

  std::vector<ModelState>& states_;
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
