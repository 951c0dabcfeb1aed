#pragma once
// checkpoint.safetensors: all a run needs to continue.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string>

#include "sluice/models/language_model.hpp"
#include "sluice/training/optimizer.hpp"

namespace sluice {

/// Where a run stands, between two steps. Random numbers are counter-based: the step is all they
/// need.
struct TrainState {
  /// Steps done.
  std::int64_t step = 0;
  /// Step after which the last validation took place; -1: none yet.
  std::int64_t validated_step = -1;
  double best_loss = std::numeric_limits<double>::infinity();
  std::int64_t best_step = 0;
  double last_validation_loss = std::numeric_limits<double>::infinity();
  std::int64_t without_improvement = 0;
  /// Schedule::decay().
  double decay = 1;
  /// Moving average of the loss, and its total weight so far (for its bias correction).
  double smoothed_loss = 0;
  double smoothed_weight = 0;
  /// Sum and number of losses since the last "train" line of metrics.jsonl.
  double logged_loss = 0;
  std::int64_t logged_steps = 0;
  /// Seconds of training so far.
  double elapsed = 0;
  /// What a resumed run must share with this one.
  std::map<std::string, std::string> fingerprint;
};

/// Writes parameters ("parameter.NAME", in the files' layout), the optimizer's state
/// ("optimizer.…"), the carried state of the model ("carried.I") and `state` (JSON under the
/// metadata key "training") to `file`, atomically: on an error, a full disk included, the file that
/// was there remains.
void save_checkpoint(const std::filesystem::path& file, const LanguageModel& model,
                     const Optimizer& optimizer, const ModelState& carried,
                     const TrainState& state);

/// Reads it back into `model`, `optimizer`, `carried` and the returned state. Throws Error when the
/// file is missing, damaged, no checkpoint, or when it does not match: `fingerprint` is compared
/// first, and the message names the first field that differs with both values. Nothing is changed
/// then.
TrainState load_checkpoint(const std::filesystem::path& file,
                           const std::map<std::string, std::string>& fingerprint,
                           LanguageModel& model, Optimizer& optimizer, ModelState& carried);

/// The state alone, without its tensors (for showing where a run stands).
TrainState read_checkpoint_state(const std::filesystem::path& file);

}  // namespace sluice
