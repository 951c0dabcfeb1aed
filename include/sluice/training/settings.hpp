#pragma once
// A training run's settings: config.json, and the same from a file of one's own or from flags.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/models/request.hpp"
#include "sluice/text/tokenizer.hpp"
#include "sluice/training/config.hpp"
#include "sluice/training/defaults.hpp"

SLUICE_API_BEGIN
namespace sluice {

class ModelDirectory;

/// Where a run's texts are.
struct DataSettings {
  std::vector<std::filesystem::path> train = {};
  std::vector<std::filesystem::path> valid = {};
  /// What the model that the run starts with was trained for: how well it is still known is shown
  /// beside each validation.
  std::vector<std::filesystem::path> valid_old = {};
  /// Share of the training text to hold out when there are no files to validate on; 0: no
  /// validation.
  double valid_fraction = 0.05;
  /// InputOptions, of all of them.
  std::vector<std::string> include = {};
  std::string field = {};
  std::string condition = {};
};

/// Its fields (base/fields.hpp).
const FieldTable& data_fields();
FieldParts field_parts(DataSettings& data);
FieldParts field_parts(const DataSettings& data);

/// Threads that a run may be asked to use at most.
inline constexpr std::int64_t most_threads = 4096;

/// What a run is asked to do. The sections hold what was given; training/defaults.hpp fills in the
/// rest.
struct Settings {
  /// The model directory; empty: not given.
  std::filesystem::path out = {};
  /// The model whose weights the run starts with; empty: with weights drawn at random.
  std::filesystem::path from = {};
  /// With `from`: the most words of the text that are added to its vocabulary, and whether those
  /// that the text does not have are left out of it.
  std::int64_t new_words = 0;
  bool prune_vocabulary = false;
  /// Vectors of words that the embedding starts with (models/word_vectors.hpp); empty: none.
  std::filesystem::path vectors = {};
  /// 0: not given, which is all cores.
  std::int64_t threads = 0;
  Given<DataSettings> data;
  Given<TokenizerOptions> tokenizer;
  ModelRequest model;
  Given<TrainConfig> training;

  /// The settings of `over` win, field by field, and displace what says the same in another way: a
  /// preset or layers, files or a fraction to validate on. Other files to train on displace the
  /// files to validate on, which go with the text they were chosen for: this is appended to
  /// `notes`. `over` must have been read with this one's architecture as the one to take when it
  /// names none. Throws as ModelRequest::overlay does.
  void overlay(const Settings& over, Notes& notes);

  /// What config.json holds: {"format_version", "model", "training", "tokenizer", "data": {"train",
  /// "valid", "valid_fraction"}, "threads"}, indented; of the sections what was given.
  std::string text() const;
};

/// Its fields, the sections among them (base/fields.hpp).
const FieldTable& settings_fields();

/// The settings that a text in JSON has, an object as config.json holds, every field optional, and
/// "out" added. Throws as `place` says, naming the first field that is unknown (with the nearest
/// names), of the wrong type or out of range, or where it is not JSON.
Settings read_settings(std::string_view text, const FieldPlace& place);
/// The same of such an object.
Settings settings_of(const Value& object, const FieldPlace& place);
/// The settings in a model directory's config.json. Throws Error as ModelDirectory::config() does,
/// and naming the first field that is unknown, of the wrong type or out of range.
Settings saved_settings(const ModelDirectory& files);

/// Throws Error naming the first field of `given` that differs from the tokenizer of the run to be
/// resumed: its vocabulary is what its model was built for.
void check_resumed_tokenizer(const Given<TokenizerOptions>& resumed,
                             const Given<TokenizerOptions>& given);

}  // namespace sluice
SLUICE_API_END
