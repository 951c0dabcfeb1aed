#pragma once
// checkpoint.safetensors: where a run stands.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "sluice/base/fields.hpp"

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
  /// Learning rates of the last step, and of the next one had the run gone on as it was; 0 in files
  /// of versions that did not write them.
  double rate = 0, next_rate = 0;
  /// Moving average of the loss, and its total weight so far (for its bias correction).
  double smoothed_loss = 0;
  double smoothed_weight = 0;
  /// Sum and number of losses since the last "train" line of metrics.jsonl.
  double logged_loss = 0;
  std::int64_t logged_steps = 0;
  /// Those of these steps whose gradients were clipped, and the moving average of that (weighted as
  /// the loss's); 0 in files of versions that did not write them.
  std::int64_t logged_clipped = 0;
  double smoothed_clipped = 0;
  /// Seconds of training so far.
  double elapsed = 0;
  /// Checksum of the data of the weights that the run has saved (SafetensorsFile::checksum());
  /// empty: none yet, or not recorded.
  std::string weights;
  /// Checksum of the configuration that the run is by, TrainOptions::configuration; empty: none, or
  /// not recorded.
  std::string configuration;

  /// What validations have found so far.
  struct Validated {
    std::int64_t validated_step, best_step, without_improvement;
    double best_loss;
  };
  Validated validated() const {
    return {validated_step, best_step, without_improvement, best_loss};
  }
  void take(const Validated& found) {
    validated_step = found.validated_step;
    best_step = found.best_step;
    without_improvement = found.without_improvement;
    best_loss = found.best_loss;
  }
};

/// How TrainState stands in a checkpoint.
const FieldTable& train_state_fields();

/// The state of the run that wrote `file`, from the file's header alone. Throws Error when the file
/// is missing, its header damaged, or when it is no checkpoint.
TrainState read_checkpoint_state(const std::filesystem::path& file);

}  // namespace sluice
