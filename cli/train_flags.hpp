#pragma once
// The flags of sluice train.

#include <nlohmann/json.hpp>
#include <string>

#include "sluice/training/settings.hpp"

namespace CLI {
class App;
}

namespace sluice::cli {

/// What the command line said.
struct TrainFlags {
  /// Fields of a configuration, as in config.json.
  nlohmann::json given = nlohmann::json::object();
  std::string config;
  bool resume = false;
  bool overwrite = false;
  /// Steps to profile; 0: none.
  std::int64_t profile = 0;
};

/// Flags for every field of a configuration, which land in `given`.
void add_settings_flags(CLI::App& app, nlohmann::json& given);

void add_train_flags(CLI::App& app, TrainFlags& flags);

/// The settings of a run: the flags over the --config file, or when it resumes and there is none,
/// over the config.json of the run it continues. Throws UsageError for what is missing or wrong,
/// Error when there is no run to resume.
Settings settings_from(const TrainFlags& flags);

}  // namespace sluice::cli
