#include "sluice/training/config.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "micro_sums.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/fields.hpp"

namespace sluice {
namespace {

constexpr std::int64_t most_tokens_per_step = std::int64_t{1} << 24;
constexpr std::int64_t most_accumulated = 65'536;
constexpr const char* budget_group = "Budget (the first that is used up ends the training)";
constexpr const char* run_group = "Run";

/// A number of something that ends the training; 0: none.
FieldSpec budget_field(const char* flag, const char* help) {
  return {.range = at_least(0),
          .asked = above_zero_or_left_out(1),
          .flag = flag,
          .group = budget_group,
          .help = help};
}

FieldSpec run_field(const FieldRange& range, const char* flag, const char* help) {
  return {.range = range, .flag = flag, .group = run_group, .help = help};
}

FieldTable make_fields() {
  using C = TrainConfig;
  FieldSpec minutes = budget_field("--minutes", "minutes of training, validation included");
  minutes.asked = above_zero_or_left_out(0);
  const FieldSpec no_carry{
      .group = run_group,
      .off_flag = "--no-carry",
      .off_help = "start each chunk from padding instead of the end of the one before"};
  return FieldsOf<C>()
      .add_all(&C::optimizer, optimizer_fields())
      .add_all(&C::schedule, schedule_fields())
      .add("clip", &C::clip,
           {.range = at_least(0),
            .flag = "--clip",
            .group = "Optimizer",
            .help = "scale gradients down to this global norm; 0: never (default 0.1 for nesterov "
                    "and sgd, 1 for adam and adamw)"})
      .add(
          "epochs", &C::epochs,
          budget_field("--epochs",
                       "passes over the text (default without any budget: as many as read about 20 "
                       "million tokens, 1 to 20)"))
      .add("minutes", &C::minutes, minutes)
      .add("steps", &C::steps, budget_field("--steps", "steps"))
      .add("tokens", &C::tokens,
           budget_field("--tokens", "tokens to train on, each epoch's counted"))
      .add("patience", &C::patience,
           {.range = at_least(0),
            .flag = "--patience",
            .group = budget_group,
            .help = "stop after N validations in a row without improvement; 0: never (default 0)"})
      .add("batch", &C::batch,
           run_field(between(1, most_tokens_per_step), "--batch",
                     "streams read side by side (default 16, fewer for small texts)"))
      .add("context", &C::context,
           run_field(between(1, most_tokens_per_step), "--context",
                     "tokens of each stream per step (default 128, fewer for small texts)"))
      .add("accumulate", &C::accumulate,
           run_field(between(1, most_accumulated), "--accumulate",
                     "micro-batches of --batch streams each whose gradients make one update: large "
                     "batches in little memory (default 1)"))
      // Left out where it changes nothing, so that files and plans of runs without it stay the
      // same.
      .only_if([](const C& config) { return config.accumulate != 1; })
      .add("sync_every", &C::sync_every,
           run_field(at_least(0), "--sync-every",
                     "each micro-batch is a worker that learns by itself; after so many steps all "
                     "go on from their mean, for slow networks (DiLoCo); 0: gradients are summed "
                     "in every step (default 0)"))
      .only_if([](const C& config) { return config.sync_every != 0; })
      .add("outer_lr", &C::outer_lr,
           run_field({.least = 0, .least_excluded = true}, "--outer-lr",
                     "with --sync-every: the learning rate of what workers have learnt (default "
                     "0.7)"))
      .only_if([](const C& config) { return config.sync_every != 0; })
      .add("outer_momentum", &C::outer_momentum,
           run_field(from_to_below(0, 1), "--outer-momentum",
                     "with --sync-every: Nesterov's momentum of that (default 0.9)"))
      .only_if([](const C& config) { return config.sync_every != 0; })
      .add("communicate", &C::communicate,
           run_field({}, "--communicate",
                     "f32, or bf16: what processes exchange is rounded to bfloat16, for slow "
                     "networks; the result then depends on their number (default f32)"))
      .only_if([](const C& config) { return config.communicate != Precision::f32; })
      .add("shard_optimizer", &C::shard_optimizer,
           run_field({}, "--shard-optimizer",
                     "each process has a part of the optimizer's state and updates that part of "
                     "the weights: the same weights in less memory"))
      .only_if([](const C& config) { return config.shard_optimizer; })
      .add("carry", &C::carry, no_carry)
      .add("validate_every", &C::validate_every,
           run_field(at_least(0), "--validate-every",
                     "steps between validations; 0: at the end of each epoch (default 0)"))
      .add("checkpoint_every", &C::checkpoint_every,
           run_field(at_least(0), "--checkpoint-every",
                     "steps between checkpoints; 0: every five minutes (default 0)"))
      .add("log_every", &C::log_every,
           run_field(at_least(1), "--log-every", "steps per line of metrics.jsonl (default 50)"))
      .add("seed", &C::seed,
           run_field({}, "--seed", "seed of initial weights and dropout (default 1)"))
      .add("precision", &C::precision,
           run_field({}, "--precision",
                     "f32, or bf16: bfloat16 matrix products with float32 sums (default f32)"))
      .add("conv", &C::conv,
           run_field({}, "--conv",
                     "how convolutions over time compute: direct, fast (Toom-Cook, kernel widths 2 "
                     "to 7), or auto: whichever is faster for the shape (default auto)"))
      .add("recompute", &C::recompute,
           run_field({}, "--recompute",
                     "compute projections again for the gradients instead of keeping them: less "
                     "memory, one more forward pass of the convolutions"));
}

}  // namespace

const FieldTable& train_fields() {
  static const FieldTable table = make_fields();
  return table;
}

FieldParts field_parts(TrainConfig& config) { return {{train_fields(), config}}; }
FieldParts field_parts(const TrainConfig& config) { return {{train_fields(), config}}; }

void TrainConfig::validate() const {
  check_fields({{train_fields(), *this}}, {.where = "training config"});
  optimizer.validate();
  if (sync_every > 0 && shard_optimizer) {
    throw UsageError(
        "training config: with sync_every each worker has an optimizer of its own; leave "
        "shard_optimizer out");
  }
  if (sync_every > 0 && accumulate == 1) {
    throw UsageError(
        "training config: sync_every is for several workers, and accumulate, their number, is 1");
  }
  if (batch > most_tokens_per_step / context) {
    throw UsageError(fmt::format(
        "training config: batch · context must be at most {} tokens per step, got {} · {}",
        most_tokens_per_step, batch, context));
  }
  if (!has_budget(*this)) {
    throw UsageError(
        "training config: training needs a budget: one of epochs, minutes, steps or tokens");
  }
}

bool has_budget(const TrainConfig& config) {
  return config.epochs > 0 || config.minutes > 0 || config.steps > 0 || config.tokens > 0;
}

std::int64_t TrainConfig::total_steps(std::int64_t steps_per_epoch,
                                      std::int64_t tokens_of_step) const {
  if (tokens_of_step == 0) tokens_of_step = tokens_per_step();
  std::int64_t total = 0;
  const auto limit = [&](std::int64_t bound) {
    if (bound > 0) total = total == 0 ? bound : std::min(total, bound);
  };
  limit(steps);
  if (tokens > 0) limit((tokens - 1) / tokens_of_step + 1);
  if (epochs > 0)
    limit(epochs <= INT64_MAX / steps_per_epoch ? epochs * steps_per_epoch : INT64_MAX);
  return total;
}

int TrainConfig::kept_per_parameter() const {
  const bool adaptive =
      optimizer.kind == OptimizerKind::adam || optimizer.kind == OptimizerKind::adamw;
  // A worker's weights, the differences, and the outer momentum.
  const int beside = sync_every > 0 ? 3 : MicroSum::most_kept(accumulate);
  return (adaptive ? 2 : 1) + (optimizer.keep > 0 ? 1 : 0) + beside;
}

}  // namespace sluice
