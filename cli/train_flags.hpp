#pragma once
// The flags of sluice train.

#include <cstdint>
#include <string>
#include <vector>

#include "sluice/training/settings.hpp"

namespace CLI {
class App;
}

namespace sluice::cli {

/// Settings as flags give them. What a model's fields mean depends on its architecture, which may
/// be given elsewhere: they are kept as they were given.
struct GivenFlags {
  Settings settings;
  std::vector<FieldChoice> model;
  std::string out;

  /// The settings over what `base` asks for.
  Settings over(Settings base, Notes& notes) const;
};

/// What the command line said.
struct TrainFlags {
  GivenFlags given;
  std::string config;
  /// A published training (training/recipes.hpp); empty: none.
  std::string recipe;
  /// The model to start from; empty: none.
  std::string from;
  bool resume = false;
  bool resume_if_possible = false;
  bool overwrite = false;
  /// Steps to profile; 0: none.
  std::int64_t profile = 0;
  /// Seconds after which a process without a sign of life is lost.
  double timeout = 60;
};

/// Flags for every field of a configuration, those of all architectures among them.
void add_settings_flags(CLI::App& app, GivenFlags& given);
/// --out; `type` is what --help calls its value.
void add_out_flag(CLI::App& app, GivenFlags& given, const std::string& type,
                  const std::string& description);

void add_train_flags(CLI::App& app, TrainFlags& flags);

/// The settings of a run: the flags over the --config file over the --recipe, or when it resumes
/// and there is none, over the config.json of the run it continues. What was left out of them is
/// appended to `notes`. Throws UsageError for what is missing or wrong, Error when there is no run
/// to resume.
Settings settings_from(const TrainFlags& flags, Notes& notes);

}  // namespace sluice::cli
