#pragma once
// The training loop.

#include <atomic>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>

#include "sluice/base/api.hpp"
#include "sluice/base/error.hpp"
#include "sluice/comm/communicator.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/text/corpus.hpp"
#include "sluice/training/config.hpp"
#include "sluice/training/profile_report.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Where a run stands after a step.
struct TrainProgress {
  /// Steps done, and steps in all: 0 when only time limits the run.
  std::int64_t step = 0;
  std::int64_t total_steps = 0;
  /// Epoch of that step, from 1, and steps in one.
  std::int64_t epoch = 0;
  std::int64_t steps_per_epoch = 0;
  /// Targets learnt from so far.
  std::int64_t tokens = 0;
  /// Nats per token of this step, and its moving average (over about 50 steps).
  double loss = 0;
  double smoothed_loss = 0;
  /// exp(smoothed_loss).
  double perplexity = 0;
  double learning_rate = 0;
  /// Global norm before clipping, and the share of recent steps that were clipped (a moving average
  /// as the loss's).
  double gradient_norm = 0;
  double clipped = 0;
  /// Recent speed, validation left out.
  double tokens_per_second = 0;
  /// Used fraction of the budget, in [0, 1].
  double fraction = 0;
  /// Seconds spent, earlier parts of a resumed run included, and the estimate of those to come.
  double elapsed = 0;
  double eta = 0;
};

/// One validation.
struct ValidationReport {
  std::int64_t step = 0;
  std::int64_t epoch = 0;
  /// Nats per token, its exponential, and tokens scored.
  double loss = 0;
  double perplexity = 0;
  std::int64_t tokens = 0;
  double seconds = 0;
  /// Whether it is the best so far.
  bool best = false;
  /// Validations in a row, this one included, that did not improve on the best.
  std::int64_t without_improvement = 0;
  /// ln V, the loss of knowing nothing.
  double uniform_loss = 0;
  /// Nats per token of what the model knew before the run (train_model()); NaN: not asked.
  double old_loss = std::numeric_limits<double>::quiet_NaN();
};

/// The loss, a gradient or a weight is no longer finite.
class DivergedError : public Error {
 public:
  using Error::Error;
};

/// Called from the thread that called train(). Any may be empty. What they throw ends training.
struct TrainCallbacks {
  /// The batch that step `step` (from 0) learns from, [B, T] each.
  std::function<void(std::int64_t step, std::span<const TokenId> inputs,
                     std::span<const TokenId> targets)>
      read;
  /// Once, when the directory holds something of this call to continue from: its first checkpoint,
  /// or a resumed run's first step or checkpoint.
  std::function<void()> begun;
  std::function<void(const TrainProgress&)> stepped;
  /// The fraction of a validation that is done.
  std::function<void(double fraction)> validating;
  std::function<void(const ValidationReport&)> validated;
  std::function<void(std::int64_t step)> checkpointed;
  /// Once, when TrainOptions::profile_steps steps are profiled, or fewer when training ends before;
  /// never when it ends within the warm-up.
  std::function<void(const StepProfile&)> profiled;
  /// Something about a resumed run that its user should know, one sentence: a learning rate that
  /// jumps, weights that were lost, a line of metrics.jsonl that cannot be read.
  std::function<void(const std::string&)> note;
};

struct TrainOptions {
  /// Continue from DIRECTORY/checkpoint.safetensors; false: start anew, replacing what is there.
  bool resume = false;
  /// Named facts a resumed run must share with the one it continues, beside those train() checks
  /// itself (model, batch, context, carry, optimizer, data): e.g. "vocabulary" and the tokenizer's
  /// fingerprint.
  std::map<std::string, std::string> fingerprint = {};
  /// Checksum of the configuration that the run is by. A resumed run that finds another one than
  /// its checkpoint records, `found_configuration`, says so (TrainCallbacks::note). Empty: none.
  std::string configuration = {}, found_configuration = {};
  TrainCallbacks callbacks;
  /// Polled between steps and while validating: not 0 asks training to save and return. A signal
  /// handler may store the signal's number here. May be null.
  const std::atomic<int>* stop = nullptr;
  /// The processes that train together, each with a part of every step's micro-batches; null: this
  /// one alone. All call train() with the same arguments, on the same files, and get the same
  /// model, with the bits that one process gets. Only the first writes;
  /// each has its own callbacks called. It must outlive train().
  Communicator* ranks = nullptr;
  /// Steps to profile (training/profile_report.hpp), after profile_warmup_steps steps of this call.
  /// What is learnt stays the same. 0: none.
  std::int64_t profile_steps = 0;
};

enum class TrainStatus : std::uint8_t { finished, stopped_early, interrupted };

struct TrainResult {
  TrainStatus status = TrainStatus::finished;
  /// What *TrainOptions::stop held when interrupted.
  int stop = 0;
  std::int64_t step = 0;
  /// Epochs completed.
  std::int64_t epochs = 0;
  std::int64_t tokens = 0;
  /// Moving average of the training loss at the end.
  double smoothed_loss = 0;
  /// Best validation loss (nats per token) and its step; infinite and 0 without validation.
  double best_loss = std::numeric_limits<double>::infinity();
  std::int64_t best_step = 0;
  double last_validation_loss = std::numeric_limits<double>::infinity();
  /// ln V, the loss of knowing nothing.
  double uniform_loss = std::numeric_limits<double>::infinity();
  /// Seconds spent, earlier parts of a resumed run included.
  double elapsed = 0;

  /// The loss at the end: of the last validation, without validation the training's.
  double final_loss() const {
    return std::isfinite(last_validation_loss) ? last_validation_loss : smoothed_loss;
  }
  /// Whether the training has failed: it ended, and its final loss is above that of knowing
  /// nothing. Within the first steps_to_beat_guessing steps both it and the training's must be
  /// twice that (a perplexity of V²): weights that were hardly trained yet, and running statistics
  /// that have not settled, may be worse than nothing.
  bool wrecked() const;
};

inline constexpr std::int64_t steps_to_beat_guessing = 100;

/// Trains `model` on `train`, validating on `valid` when it is not null, and writes into the
/// existing directory `directory`:
///   model.safetensors       the parameters of the best validation (the last without validation)
///   checkpoint.safetensors  all that is needed to continue
///   metrics.jsonl           one JSON object per line, "event": "train" or "validation"
///   trace.json              when profiling: the first profiled step (base/profile.hpp)
/// The caller holds the directory's lock (base/file.hpp) and writes config.json and the tokenizer.
/// `model` has the last parameters afterwards, not the best.
///
/// Resuming reproduces the uninterrupted run bit for bit, metrics.jsonl included except for its
/// timings ("seconds", "tokens_per_second"), as long as the configuration and number of threads are
/// the same and no time budget is set. With a time budget the saved elapsed time counts on.
/// Budgets, learning rate and other values that the checks of TrainOptions::fingerprint leave out
/// may differ in a resumed run.
///
/// The learning rate of a resumed run is what lr, schedule and budget of this call make of its
/// step, as if they had been the same from the start: with a larger budget the cosine schedule is
/// spread over all of it, and a finished run that goes on jumps from the end of the old curve to
/// the new one. TrainCallbacks::note says so, with both rates. The plateau schedule keeps its
/// decay.
///
/// What the run has saved is read again when it is resumed and before this returns. Best weights
/// that are missing, damaged or not the run's are saved again when the checkpoint holds them, else
/// the best is sought anew (TrainCallbacks::note).
///
/// Throws UsageError for an invalid config and for more processes than micro-batches; RankError
/// when another process has gone or differs (TrainOptions::ranks); Error when the corpus is shorter
/// than a batch of chunks, the vocabulary of the data is not the model's, a resumed run does not
/// match (naming the field) and when a file cannot be written (what was there before remains);
/// DivergedError when the loss, a gradient or a weight is no longer finite: the message names the
/// step, the suspect, the learning rate and the last good checkpoint, which is kept.
TrainResult train(LanguageModel& model, const TokenShards& train, const TokenShards* valid,
                  const TrainConfig& config, const std::filesystem::path& directory,
                  const TrainOptions& options = {});

}  // namespace sluice
SLUICE_API_END
