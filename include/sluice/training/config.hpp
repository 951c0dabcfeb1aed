#pragma once
// How to train: config.json's "training" object.

#include <array>
#include <cstdint>
#include <string_view>

#include "sluice/autograd/convolution.hpp"
#include "sluice/base/api.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/tensor/precision.hpp"
#include "sluice/training/optimizer.hpp"
#include "sluice/training/schedule.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Fields stand in JSON under the names they have here; the optimizer's and the schedule's stand
/// beside the others, `kind` as "optimizer" and "schedule".
struct TrainConfig {
  /// Parallel streams, and positions per chunk of each.
  std::int64_t batch = 16;
  std::int64_t context = 128;
  /// Micro-batches of `batch` streams each whose gradients make one update: the same as `batch` as
  /// many times larger, in the memory of one.
  std::int64_t accumulate = 1;
  /// Above 0: each micro-batch is a worker with weights and an optimizer of its own, which learns
  /// by itself; after so many steps the mean of what workers have learnt is a gradient for the
  /// weights that all go on from, by Nesterov's momentum (DiLoCo, Douillard et al. 2023). For
  /// networks too slow to exchange gradients in every step.
  std::int64_t sync_every = 0;
  double outer_lr = 0.7;
  double outer_momentum = 0.9;
  /// What dense gradients, or what workers have learnt, are rounded to on their way between
  /// processes; what is lost is added to what travels next. bf16: half the traffic, and a result
  /// that depends on the number of processes.
  Precision communicate = Precision::f32;
  /// Whether each process has a part of the optimizer's state, and updates that part of the
  /// weights: the same weights, for less memory and more traffic.
  bool shard_optimizer = false;

  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  /// Gradients are scaled down to this global norm; 0: never.
  double clip = 0.1;

  /// Budgets; 0: none. Training ends when the first of them is used up, and at least one is needed.
  /// `minutes` counts wall time in train(), validation included. Runs that end by `minutes` are not
  /// reproducible: how many steps fit depends on the machine, and so does the cosine schedule,
  /// whose progress is the largest used fraction of any budget.
  std::int64_t epochs = 0;
  double minutes = 0;
  std::int64_t steps = 0;
  std::int64_t tokens = 0;

  /// Validations in a row without improvement after which training stops; 0: never.
  std::int64_t patience = 0;
  /// Steps between validations; 0: one at the end of each epoch. There is always one at the end.
  std::int64_t validate_every = 0;
  /// Steps between checkpoints; 0: one whenever five minutes have passed. There is always one after
  /// a validation, at the end and when interrupted. Checkpoints never change what is learnt.
  std::int64_t checkpoint_every = 0;
  /// Steps per "train" line of metrics.jsonl.
  std::int64_t log_every = 50;

  /// Start each chunk from the state the one before ended with, instead of from zeros.
  bool carry = true;
  /// Seeds dropout (the model's initial weights have their own seed, see make_model).
  std::uint64_t seed = 1;
  Precision precision = Precision::f32;
  /// How convolutions compute; changes results by rounding only.
  ConvPath conv = ConvPath::automatic;
  /// Compute projections again for the gradients instead of keeping them: less memory, one more
  /// forward pass through the convolutions. Does not change results.
  bool recompute = false;

  /// Throws UsageError naming the first field that is out of range, or saying that there is no
  /// budget.
  void validate() const;
  /// Streams read side by side, those of all micro-batches, and targets learnt from in a step.
  std::int64_t streams() const { return batch * accumulate; }
  std::int64_t tokens_per_step() const { return streams() * context; }
  /// Steps the budgets other than `minutes` allow, given the steps of an epoch and the targets of a
  /// step (BatchStream::tokens_per_step(); 0: no padding among them); 0 when there is no such
  /// budget.
  std::int64_t total_steps(std::int64_t steps_per_epoch, std::int64_t tokens_of_step = 0) const;
  /// Tensors that training keeps per parameter beside its value and its gradient, at most: the
  /// optimizer's and sums over micro-batches.
  int kept_per_parameter() const;
  bool operator==(const TrainConfig&) const = default;
};

/// The fields that say when training ends, of which one is needed.
inline constexpr std::array<std::string_view, 4> budget_fields = {"epochs", "minutes", "steps",
                                                                  "tokens"};
/// Whether one of them is above 0.
bool has_budget(const TrainConfig& config);

/// Its fields (base/fields.hpp): how it is read, checked and written, and its flags.
const FieldTable& train_fields();
FieldParts field_parts(TrainConfig& config);
FieldParts field_parts(const TrainConfig& config);

}  // namespace sluice
SLUICE_API_END
