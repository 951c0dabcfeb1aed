#pragma once
// The list of what a run's checkpoints hold.

#include <optional>
#include <vector>

#include "loop.hpp"
#include "rank_exchange.hpp"
#include "rank_group.hpp"
#include "run_states.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/training/config.hpp"
#include "sluice/training/detail/checkpoint.hpp"

namespace sluice {

/// The stateful parts of a run, those of workers and of rounding where it has them.
class RunParts {
 public:
  /// All must outlive it. `exchange` may be null.
  RunParts(const LanguageModel& model, Loop& loop, RankExchange* exchange, TrainState& state,
           const TrainConfig& config, RankGroup ranks)
      : parameters_(model.parameters()),
        optimizer_(loop.optimizer(), ranks),
        carried_(loop.carried(), ranks),
        position_(state) {
    if (loop.workers() != nullptr) {
      workers_.emplace(loop, model.parameters(), ranks, config.accumulate);
    }
    if (exchange != nullptr && exchange->wire().rounds()) rounding_.emplace(*exchange, ranks);
  }
  RunParts(const RunParts&) = delete;
  RunParts& operator=(const RunParts&) = delete;

  /// In the order of the files.
  std::vector<Stateful*> all() {
    std::vector<Stateful*> all = {&parameters_, &optimizer_, &carried_, &position_};
    if (workers_) all.push_back(&*workers_);
    if (rounding_) all.push_back(&*rounding_);
    return all;
  }

  /// Sends the leader, which saves all of them, what this process has of them.
  void send() const {
    optimizer_.send();
    carried_.send();
    if (workers_) workers_->send();
    if (rounding_) rounding_->send();
  }

 private:
  ParametersState parameters_;
  OptimizerState optimizer_;
  CarriedState carried_;
  PositionState position_;
  std::optional<WorkersState> workers_;
  std::optional<RoundingState> rounding_;
};

}  // namespace sluice
