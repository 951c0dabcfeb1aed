#pragma once
// A training run's settings: config.json, and the same object as a file or from flags.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sluice {

/// What a run is asked to do. The sections hold what was given; training/defaults.hpp fills in the
/// rest.
struct Settings {
  /// The model directory; empty: not given.
  std::filesystem::path out;
  std::vector<std::filesystem::path> train_files;
  std::vector<std::filesystem::path> valid_files;
  /// Share of the training text to hold out when there are no valid_files; 0: no validation.
  double valid_fraction = 0.05;
  /// 0: all cores.
  std::int64_t threads = 0;
  nlohmann::json tokenizer = nlohmann::json::object();
  nlohmann::json model = nlohmann::json::object();
  nlohmann::json training = nlohmann::json::object();

  /// What config.json holds: {"format_version", "model", "training", "tokenizer", "data": {"train",
  /// "valid", "valid_fraction"}, "threads"}, indented.
  std::string text() const;
};

/// Merges `given` (flags) over `base` (a configuration file), both objects as in config.json with
/// every field optional and "out" added. Fields of `given` win, and displace those of `base` that
/// say the same in another way (a preset or layers, files or a fraction to validate on). Throws
/// UsageError naming the first field that is unknown (with the nearest names), of the wrong type or
/// out of range.
Settings merge_settings(const nlohmann::json& base, const nlohmann::json& given);

/// Throws Error naming the first field of given["tokenizer"] that differs from `base`, the
/// configuration of the run to be resumed: its vocabulary is what its model was built for.
void check_resumed_tokenizer(const nlohmann::json& base, const nlohmann::json& given);

}  // namespace sluice
