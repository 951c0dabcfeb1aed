#include "sluice/models/model_directory.hpp"

#include <fmt/format.h>

#include <set>
#include <system_error>

#include "fingerprints.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// Fields of config.json.
constexpr const char* version_field = "format_version";
constexpr const char* model_field = "model";

std::string config_text(const Value& config) { return json_text(config, 2) + "\n"; }

/// Throws unless `file` has what the model needs, and nothing else.
void check_tensors(const SafetensorsFile& file, const Parameters& parameters) {
  const auto fail = [&](const std::string& fault) {
    throw Error(fmt::format("cannot load '{}': {}", file.path().string(), fault));
  };
  std::set<std::string> known;
  for (const Parameter& parameter : parameters) {
    known.insert(parameter.name);
    const TensorInfo* found = file.find(parameter.name);
    if (found == nullptr) fail(fmt::format("tensor '{}' is missing", parameter.name));
    if (!(found->shape == parameter.file_shape())) {
      fail(fmt::format("tensor '{}' has shape {}, expected {}", parameter.name, found->shape.str(),
                       parameter.file_shape().str()));
    }
    if (found->dtype == DType::i32 || found->dtype == DType::i8) {
      fail(fmt::format("tensor '{}' holds {} elements, expected {}", parameter.name,
                       dtype_name(found->dtype), dtype_name(parameter.variable.dtype())));
    }
  }
  for (const TensorInfo& info : file.tensors()) {
    if (!known.contains(info.name)) fail(fmt::format("the model has no tensor '{}'", info.name));
  }
}

/// Gives the model the tensors of `file`, all or none of them unless one has an element that is not
/// finite.
void assign(const SafetensorsFile& file, LanguageModel& model) {
  check_parameters(file, model);
  for (const Parameter& parameter : model.parameters()) {
    const Tensor found = file.read(parameter.name);
    const DType dtype = parameter.variable.dtype();
    const Tensor value = found.dtype() == dtype ? found : found.to(dtype);
    if (!all_finite(value)) {
      throw Error(fmt::format(
          "cannot load '{}': tensor '{}' holds a number that is not finite; the model has "
          "diverged or the file was made badly",
          file.path().string(), parameter.name));
    }
    parameter.variable.set_value(parameter.in_memory(value));
  }
}

}  // namespace

PendingSafetensors prepare_parameters(const fs::path& file, const LanguageModel& model,
                                      const Metadata& more) {
  TensorSources tensors;
  tensors.reserve(model.parameters().size());
  for (const Parameter& parameter : model.parameters()) {
    tensors.push_back({{parameter.name, parameter.file_shape(), parameter.variable.dtype()},
                       [&parameter] { return parameter.in_file(parameter.variable.value()); }});
  }
  // "format" is what other readers of safetensors look for: tensors laid out as PyTorch's.
  Metadata metadata = more;
  metadata["format"] = "pt";
  return prepare_safetensors(file, tensors, metadata);
}

void save_parameters(const fs::path& file, const LanguageModel& model) {
  prepare_parameters(file, model).commit();
}

void load_parameters(const fs::path& file, LanguageModel& model) {
  assign(SafetensorsFile(file), model);
}

void check_parameters(const SafetensorsFile& file, const LanguageModel& model) {
  check_tensors(file, model.parameters());
  file.check_data();
}

bool ModelDirectory::has_checkpoint() const { return is_there(checkpoint_file()); }

bool ModelDirectory::has_runtime() const { return is_there(runtime_file()); }

void ModelDirectory::check_trained() const {
  if (!has_runtime()) return;
  throw Error(
      fmt::format("'{}' holds a runtime model, whose weights are good for use alone; name the "
                  "directory of the model that it was made from",
                  path_.string()));
}

bool ModelDirectory::holds_only_preparations() const {
  std::error_code ignored;
  // A tokenizer or a configuration alone may be somebody's; with what only a run makes, they are
  // its.
  bool of_a_run = false;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool of_runs =
        name == DirectoryLock::name || name == cache_name || AtomicFile::is_temporary(name);
    if (!of_runs && name != config_name && !is_tokenizer_file(name)) return false;
    of_a_run = of_a_run || of_runs;
  }
  return of_a_run;
}

Value ModelDirectory::config() const {
  std::error_code ignored;
  if (!fs::is_directory(path_, ignored)) {
    throw Error(
        fmt::format("no model at '{}': {}", path_.string(),
                    is_there(path_) ? "it is not a directory" : "there is no such directory"));
  }
  const fs::path file = config_file();
  if (!is_there(file)) {
    throw Error(
        fmt::format("no model at '{}': the directory has no {}", path_.string(), config_name));
  }
  const auto fail = [&](const std::string& fault) {
    throw Error(fmt::format("cannot read '{}': {}", file.string(), fault));
  };
  Value config = parse_json(read_file(file, most_json_bytes),
                            {.where = fmt::format("cannot read '{}'", file.string()),
                             .origin = FieldPlace::Origin::file});
  if (config.as<Value::Object>() == nullptr) fail("expected a JSON object");
  const Value* const version = config.find(version_field);
  const auto* const whole = version == nullptr ? nullptr : version->as<std::int64_t>();
  const bool huge = version != nullptr && version->as<std::uint64_t>() != nullptr;
  if (whole == nullptr && !huge) {
    fail(fmt::format("field '{}' is missing or not a whole number", version_field));
  }
  if (huge || *whole < 1 || *whole > model_format_version) {
    fail(fmt::format("its format version is {}, this program reads up to {}; use a newer program",
                     shown(*version), model_format_version));
  }
  const Value* const model = config.find(model_field);
  if (model == nullptr || model->as<Value::Object>() == nullptr) {
    fail(fmt::format("field '{}' is missing or not an object", model_field));
  }
  return config;
}

ModelConfig ModelDirectory::model_config() const {
  const Value file = config();
  try {
    ModelConfig config = read_model(*file.find(model_field),
                                    {.where = "model config", .origin = FieldPlace::Origin::file});
    config.validate();
    return config;
  } catch (const Error& error) {
    // What a file holds is not the request's fault: an Error, not a UsageError.
    throw Error(fmt::format("cannot read '{}': {}", config_file().string(), error.what()));
  }
}

Facts ModelDirectory::fingerprints() const {
  const SafetensorsFile weights(has_runtime() ? runtime_file() : weights_file());
  ModelConfig config = model_config();
  config.dropout = 0;
  const std::string fields = json_text(write_model(config));
  return {
      {"model", weights.checksum().empty() ? file_checksum(weights.path()) : weights.checksum()},
      {"model configuration", checksum_hex(fields.data(), fields.size())},
      {"tokenizer", file_checksum(tokenizer_file(path_))}};
}

std::optional<ModelConfig> ModelDirectory::saved_config() const {
  const SafetensorsFile file(weights_file());
  return config_in(file.path(), file.metadata());
}

LoadedModel ModelDirectory::load(Weights weights) const {
  check_trained();
  const ModelConfig config = model_config();
  LoadedModel loaded;
  loaded.tokenizer = tokenizer();
  if (loaded.tokenizer->size() != config.vocabulary) {
    throw Error(
        fmt::format("the files in '{}' do not belong together: the tokenizer has {} tokens "
                    "and the model {}",
                    path_.string(), loaded.tokenizer->size(), config.vocabulary));
  }
  if (!is_there(weights_file(weights))) weights = Weights::best;
  // Reading the file's header, which is checked against its size, before building bounds what a
  // damaged config can make this allocate. Running statistics are not among a config's parameters.
  const SafetensorsFile file(weights_file(weights));
  std::int64_t scalars = 0;
  for (const TensorInfo& info : file.tensors()) {
    if (info.name.find(".running_") == std::string::npos) scalars += info.shape.elements();
  }
  if (scalars != config.parameter_count()) {
    throw Error(
        fmt::format("the files in '{}' do not belong together: {} describes {} parameters "
                    "and {} holds {}",
                    path_.string(), config_name, config.parameter_count(),
                    file.path().filename().string(), scalars));
  }
  check_fingerprints(file.path(), file.metadata(), config, tokenizer_file(path_));
  loaded.model = make_model(config, std::nullopt);
  assign(file, *loaded.model);
  return loaded;
}

void ModelDirectory::write_config(std::string_view text) const { write_file(config_file(), text); }

void ModelDirectory::write_config(const ModelConfig& model) const {
  Value config;
  config.set(version_field, model_format_version);
  config.set(model_field, write_model(model));
  write_config(config_text(config));
}

void ModelDirectory::copy_config(const ModelDirectory& from) const {
  write_config(config_text(from.config()));
}

void ModelDirectory::save_weights(const LanguageModel& model, Weights weights) const {
  prepare_weights(model, weights).commit();
}

PendingSafetensors ModelDirectory::prepare_weights(const LanguageModel& model,
                                                   Weights weights) const {
  return prepare_parameters(weights_file(weights), model,
                            sluice::fingerprints(model.config(), tokenizer_file(path_)));
}

void ModelDirectory::save(const LanguageModel& model, const Tokenizer& tokenizer) const {
  tokenizer.save(path_);
  write_config(model.config());
  save_weights(model);
}

void ModelDirectory::remove_run() const {
  for (const char* name :
       {checkpoint_name, best_weights_name, last_weights_name, config_name, metrics_name,
        trace_name, runtime_name, runtime_stamp_name, calibration_name}) {
    fs::remove(path_ / name);
  }
  remove_tokenizer(path_);
}

LoadedModel load_model(const fs::path& directory) { return ModelDirectory(directory).load(); }

}  // namespace sluice
