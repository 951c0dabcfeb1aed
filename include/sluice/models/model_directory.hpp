#pragma once
// A model directory: the one home of its files' names, and reading and writing what makes a model.

#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include "sluice/base/api.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/pieces.hpp"
#include "sluice/base/value.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A model and its tokenizer, read from a directory.
struct LoadedModel {
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<Tokenizer> tokenizer;
};

/// Writes the parameters to `file` (safetensors, file layout), atomically, one tensor at a time.
void save_parameters(const std::filesystem::path& file, const LanguageModel& model);
/// The same up to the moment when it replaces what was there.
PendingSafetensors prepare_parameters(const std::filesystem::path& file, const LanguageModel& model,
                                      const Metadata& more = {});
/// Reads them back. Throws Error naming the first tensor that is missing, unknown, of another shape
/// (expected and found) or with an element that is not finite. The model is left alone then, but in
/// the last case.
void load_parameters(const std::filesystem::path& file, LanguageModel& model);

/// Throws as load_parameters() would for `file`, damaged data included; changes nothing.
void check_parameters(const SafetensorsFile& file, const LanguageModel& model);

/// Which weights of a training run.
enum class Weights : std::uint8_t {
  best,  ///< of the best validation (of the last step without validation)
  last,  ///< at the end of the run, kept apart where they are not the best
};

/// The files of a model directory. A value: it holds a path, and nothing is read or written before
/// it is asked for. Methods are safe to call from any thread; who writes holds the lock.
class ModelDirectory {
 public:
  static constexpr const char* config_name = "config.json";
  static constexpr const char* best_weights_name = "model.safetensors";
  static constexpr const char* last_weights_name = "last.safetensors";
  static constexpr const char* checkpoint_name = "checkpoint.safetensors";
  static constexpr const char* metrics_name = "metrics.jsonl";
  static constexpr const char* trace_name = "trace.json";
  static constexpr const char* cache_name = "cache";
  static constexpr const char* runtime_name = "runtime.safetensors";
  static constexpr const char* runtime_stamp_name = "runtime.verified";
  static constexpr const char* calibration_name = "calibration.json";

  explicit ModelDirectory(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  /// The effective configuration (docs/formats.md).
  std::filesystem::path config_file() const { return path_ / config_name; }
  std::filesystem::path weights_file(Weights weights = Weights::best) const {
    return path_ / (weights == Weights::best ? best_weights_name : last_weights_name);
  }
  /// What a run needs to be continued.
  std::filesystem::path checkpoint_file() const { return path_ / checkpoint_name; }
  /// The history of the training, a line each.
  std::filesystem::path metrics_file() const { return path_ / metrics_name; }
  /// The trace of one training step.
  std::filesystem::path trace_file() const { return path_ / trace_name; }
  /// The directory of tokenised texts.
  std::filesystem::path cache() const { return path_ / cache_name; }

  /// Weights prepared for use (inference/runtime_model.hpp), and which state of them was verified.
  std::filesystem::path runtime_file() const { return path_ / runtime_name; }
  std::filesystem::path runtime_stamp_file() const { return path_ / runtime_stamp_name; }
  /// How far its classification is to be believed (inference/calibration.hpp).
  std::filesystem::path calibration_file() const { return path_ / calibration_name; }

  /// Whether it holds a runtime model, which is good for use alone. This and has_checkpoint() throw
  /// SystemError where that cannot be found out.
  bool has_runtime() const;
  /// Throws Error in one sentence when it does: for whoever would train or look inside.
  void check_trained() const;
  /// Whether there is a run to continue.
  bool has_checkpoint() const;
  /// Whether all that is in the directory was left by a run that ended before it began: its lock,
  /// its configuration and tokenizer, and tokenised texts.
  bool holds_only_preparations() const;

  /// Holds the directory for this process. Throws Error naming the holder when it is taken.
  DirectoryLock lock() const { return DirectoryLock(path_); }

  /// config.json as it stands, an object with at least "format_version" and "model": for those who
  /// read a section by its field table, as saved_settings() (training/settings.hpp) does. Throws
  /// Error for a directory that holds no model, a damaged file, or a newer format version.
  Value config() const;
  /// Its "model" section, checked. Throws Error as config() does and for values out of range.
  ModelConfig model_config() const;
  /// The configuration that its weights were saved with; none where they do not say. Throws Error
  /// as load() does for a file that cannot be read.
  std::optional<ModelConfig> saved_config() const;
  std::unique_ptr<Tokenizer> tokenizer() const { return load_tokenizer(path_); }
  /// What tells models apart that would answer otherwise: checksums of the weights (as their file
  /// says: they are not read), of the configuration, dropout apart, and of the tokenizer. Throws
  /// Error as config() does and when a file is missing.
  Facts fingerprints() const;
  /// The model with its tokenizer. Weights::last takes the best ones where no others are kept.
  /// Throws Error for a runtime model, when a file is missing or damaged, when a weight is not
  /// finite, or when the files do not belong together: another vocabulary, other parameters than
  /// the configuration describes, a configuration or a tokenizer that the weights were not saved
  /// with.
  LoadedModel load(Weights weights = Weights::best) const;

  /// Replaces config.json by `text`, that of a run's settings (Settings::text()).
  void write_config(std::string_view text) const;
  /// Replaces it by one that says what the model is, and nothing of a run.
  void write_config(const ModelConfig& model) const;
  /// Replaces it by what that of `from` says. Throws Error as config() does.
  void copy_config(const ModelDirectory& from) const;
  /// Writes the model's weights with the fingerprints() of its configuration and of the tokenizer
  /// that is in the directory.
  void save_weights(const LanguageModel& model, Weights weights = Weights::best) const;
  /// The same up to the moment when they replace what was there.
  PendingSafetensors prepare_weights(const LanguageModel& model,
                                     Weights weights = Weights::best) const;
  /// The inverse of load(): weights, tokenizer and write_config() of the model's configuration.
  void save(const LanguageModel& model, const Tokenizer& tokenizer) const;

  /// Removes what an earlier run left, but not what is cached: the checkpoint first, so that what
  /// is left by an interruption is not taken for a run.
  void remove_run() const;

 private:
  std::filesystem::path path_;
};

/// ModelDirectory(directory).load().
LoadedModel load_model(const std::filesystem::path& directory);

/// config.json's format version this library writes and the newest it reads.
inline constexpr int model_format_version = 1;

}  // namespace sluice
SLUICE_API_END
