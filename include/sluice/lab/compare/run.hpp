#pragma once
// One training run of a comparison: in a directory named after all that its result depends on, so
// that it is trained once.

#include <atomic>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/names.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/training/run.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The complete description of a run, and its name.
struct RunPlan : TrainPlan {
  /// 16 hexadecimal digits; see run_hash.
  std::string hash;
};

/// Facts of the data that every run of a comparison shares.
struct DataFacts {
  /// Fingerprints of the tokenizer and of the tokens to train and to validate on, if there are any
  /// of these.
  std::string tokenizer, train;
  std::optional<std::string> valid = {};
  std::int64_t train_tokens = 0, valid_tokens = 0;

  // clang-tidy 14 takes its comparison with 0 for one with a pointer.
  auto operator<=>(const DataFacts&) const = default;  // NOLINT(modernize-use-nullptr)
};
DataFacts data_facts(const PreparedText& text);

/// XXH3 of all that a run's result depends on: model, training (learning rate and seed included),
/// number of threads, data and library_version().
std::string run_hash(const ModelConfig& model, const TrainConfig& training, std::int64_t threads,
                     const DataFacts& data);

enum class RunStatus : std::uint8_t { finished, diverged };
const EnumNames<RunStatus>& enum_names(RunStatus);

/// What came of a run: DIRECTORY/run.json.
struct RunRecord {
  RunStatus status = RunStatus::finished;
  /// Of a diverged run: what happened.
  std::string message;
  std::int64_t steps = 0, tokens = 0;
  /// Of training, validation included.
  double seconds = 0;
  /// Median over the training, validation left out.
  double tokens_per_second = 0;
  /// Moving average of the training loss at the end; the last and the best validation loss, nats
  /// per token; infinite for a diverged run that had no validation, the last one always.
  double train_loss = std::numeric_limits<double>::infinity();
  double final_loss = std::numeric_limits<double>::infinity();
  double best_loss = std::numeric_limits<double>::infinity();
  std::int64_t best_step = 0;
};

/// How a record stands in run.json and in results.json.
const FieldTable& run_record_fields();

/// DIRECTORY/run.json.
std::filesystem::path run_record_file(const std::filesystem::path& directory);
/// The version of the library that wrote the record in `directory`; none when there is no record
/// that can be read.
std::optional<std::string> recorded_version(const std::filesystem::path& directory);

/// What a run's directory holds.
enum class RunState : std::uint8_t { absent, partial, whole, damaged };

struct FoundRun {
  RunState state = RunState::absent;
  /// Of a whole run.
  RunRecord record;
  /// Of a damaged one: what is wrong.
  std::string fault;
};

/// Looks at `directory`, where the run `hash` belongs: `whole` when run.json is of that run and the
/// files it lists still have the checksums it gives; `partial` when there is no run.json but a
/// sound checkpoint to continue from. Never throws for what the files hold; SystemError where the
/// system refuses to read them, which may be whole.
FoundRun find_run(const std::filesystem::path& directory, const std::string& hash);

struct RunOptions {
  TrainCallbacks callbacks;
  /// As TrainOptions::stop.
  const std::atomic<int>* stop = nullptr;
};

/// Trains `plan` in `directory`, made when missing: an ordinary model directory, the weights at the
/// end in last.safetensors unless they are the best ones, and run.json, which is written last. A
/// partial run is continued, a damaged one put aside (LabDirectory::damaged_mark) and trained
/// again. A finished run's checkpoint is removed: it is not to be continued beyond its budget. A
/// run that diverges is a result, and keeps its last checkpoint. None when *stop ended it; the same
/// call continues it. Throws Error when a file cannot be written.
std::optional<RunRecord> train_run(const RunPlan& plan, const PreparedText& text,
                                   const std::filesystem::path& directory,
                                   const RunOptions& options = {});

/// The model of a finished run as it was at the end of its budget. Throws as load_model does.
LoadedModel load_trained(const std::filesystem::path& directory);

/// A point of a run's history.
struct CurvePoint {
  double tokens = 0, seconds = 0, loss = 0;
};

struct RunCurves {
  std::vector<CurvePoint> train, validation;
};

/// What metrics.jsonl in `directory` tells, `tokens_per_step` targets each; lines that cannot be
/// read are left out. Throws Error when the file cannot be read.
RunCurves read_curves(const std::filesystem::path& directory, std::int64_t tokens_per_step);

}  // namespace sluice
SLUICE_API_END
