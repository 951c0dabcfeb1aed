#pragma once
// metrics.jsonl: the history of a training, one JSON object a line (docs/formats.md).

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/value.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A line of "event": "train", every TrainConfig::log_every steps.
struct TrainLine {
  /// Steps done, the epoch of the last of them (from 1), and targets learnt from.
  std::int64_t step = 0, epoch = 0, tokens = 0;
  /// Mean since the line before, nats per token, and its exponential.
  double loss = 0, perplexity = 0;
  /// Learning rate of the last step, and its gradient's norm before clipping.
  double lr = 0, gradient_norm = 0;
  /// Share of the steps since the line before whose gradients were scaled down (TrainConfig::clip);
  /// left out where it is 0.
  double clipped = 0;
  /// Recent speed, and seconds spent training so far.
  double tokens_per_second = 0, seconds = 0;
};

/// A line of "event": "validation".
struct ValidationLine {
  std::int64_t step = 0, epoch = 0;
  /// Nats per token, and its exponential.
  double loss = 0, perplexity = 0;
  /// Scored.
  std::int64_t tokens = 0;
  /// Whether it is the best so far.
  bool best = false;
  double seconds = 0;
};

/// A line as it stands in the file. Numbers that are not finite become null.
Value metrics_value(const TrainLine& line);
Value metrics_value(const ValidationLine& line);

/// What a file tells, in its order.
struct Metrics {
  std::vector<TrainLine> train;
  std::vector<ValidationLine> validations;
  /// What is wrong with lines that are none of these and were skipped, a sentence each for the
  /// first ten, the line named, and one for all others. The last line, when it has no end, is not
  /// counted: a killed run may leave one half written.
  std::vector<std::string> faults;
};

/// Reads the file. Throws Error when it cannot be read or has more than a gigabyte; never for what
/// its lines hold.
Metrics read_metrics(const std::filesystem::path& file);

}  // namespace sluice
SLUICE_API_END
