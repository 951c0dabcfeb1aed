#include "sluice/models/model_directory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/safetensors.hpp"

namespace sluice {
namespace {

constexpr const char* config_name = "config.json";
constexpr const char* parameters_name = "model.safetensors";

Tensor file_tensor(const Parameter& parameter) {
  const Tensor& value = parameter.variable.value();
  return parameter.to_file ? parameter.to_file(value) : value;
}

const NamedTensors::value_type* find(const NamedTensors& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const auto& each) { return each.first == name; });
  return found == tensors.end() ? nullptr : &*found;
}

/// Gives the model the tensors of `file`, all or none of them.
void assign(const std::filesystem::path& file, const NamedTensors& tensors, LanguageModel& model) {
  const Parameters& parameters = model.parameters();
  std::vector<Tensor> values;
  values.reserve(parameters.size());
  for (const Parameter& parameter : parameters) {
    const auto* found = find(tensors, parameter.name);
    if (found == nullptr) {
      throw Error(
          fmt::format("cannot load '{}': tensor '{}' is missing", file.string(), parameter.name));
    }
    const Shape expected = file_tensor(parameter).shape();
    if (!(found->second.shape() == expected)) {
      throw Error(fmt::format("cannot load '{}': tensor '{}' has shape {}, expected {}",
                              file.string(), parameter.name, found->second.shape().str(),
                              expected.str()));
    }
    const DType dtype = parameter.variable.value().dtype();
    if (found->second.dtype() == DType::i32) {
      throw Error(fmt::format("cannot load '{}': tensor '{}' holds {} elements, expected {}",
                              file.string(), parameter.name, dtype_name(DType::i32),
                              dtype_name(dtype)));
    }
    const Tensor value = found->second.dtype() == dtype ? found->second : found->second.to(dtype);
    values.push_back(parameter.from_file ? parameter.from_file(value) : value);
  }
  for (const auto& each : tensors) {
    const std::string& name = each.first;
    const bool known =
        std::any_of(parameters.begin(), parameters.end(),
                    [&](const Parameter& parameter) { return parameter.name == name; });
    if (!known) {
      throw Error(
          fmt::format("cannot load '{}': the model has no tensor '{}'", file.string(), name));
    }
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].variable.set_value(values[i]);
}

}  // namespace

void save_parameters(const std::filesystem::path& file, const LanguageModel& model) {
  NamedTensors tensors;
  tensors.reserve(model.parameters().size());
  for (const Parameter& parameter : model.parameters()) {
    tensors.emplace_back(parameter.name, file_tensor(parameter));
  }
  // "format" is what other readers of safetensors look for: tensors laid out as PyTorch's.
  write_safetensors(file, tensors, {{"format", "pt"}});
}

void load_parameters(const std::filesystem::path& file, LanguageModel& model) {
  assign(file, read_safetensors(file), model);
}

nlohmann::json read_model_config(const std::filesystem::path& directory) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(directory, ignored)) {
    throw Error(fmt::format("no model at '{}': {}", directory.string(),
                            std::filesystem::exists(directory, ignored)
                                ? "it is not a directory"
                                : "there is no such directory"));
  }
  const std::filesystem::path file = directory / config_name;
  if (!std::filesystem::exists(file, ignored)) {
    throw Error(
        fmt::format("no model at '{}': the directory has no {}", directory.string(), config_name));
  }
  const auto fail = [&](const std::string& fault) {
    throw Error(fmt::format("cannot read '{}': {}", file.string(), fault));
  };
  nlohmann::json config;
  try {
    config = nlohmann::json::parse(read_file(file));
  } catch (const nlohmann::json::exception&) {
    fail("damaged (not JSON)");
  }
  if (!config.is_object()) fail("expected a JSON object");
  const auto version = config.find("format_version");
  if (version == config.end() || !version->is_number_integer()) {
    fail("field 'format_version' is missing or not a whole number");
  }
  if (version->get<std::int64_t>() < 1 ||
      version->get<std::int64_t>() > std::int64_t{model_format_version}) {
    fail(fmt::format("its format version is {}, this program reads up to {}; use a newer program",
                     version->dump(), model_format_version));
  }
  if (!config.contains("model") || !config["model"].is_object()) {
    fail("field 'model' is missing or not an object");
  }
  return config;
}

LoadedModel load_model(const std::filesystem::path& directory) {
  const nlohmann::json json = read_model_config(directory);
  ModelConfig config;
  try {
    json["model"].get_to(config);
    config.validate();
  } catch (const Error& error) {
    // What a file holds is not the request's fault: an Error, not a UsageError.
    throw Error(
        fmt::format("cannot read '{}': {}", (directory / config_name).string(), error.what()));
  }

  LoadedModel loaded;
  loaded.tokenizer = load_tokenizer(directory);
  if (loaded.tokenizer->size() != config.vocabulary) {
    throw Error(
        fmt::format("the files in '{}' do not belong together: the tokenizer has {} tokens "
                    "and the model {}",
                    directory.string(), loaded.tokenizer->size(), config.vocabulary));
  }
  // Reading the file, which is checked against its size, before building bounds what a damaged
  // config can make this allocate. Running statistics are not among a config's parameters.
  const std::filesystem::path file = directory / parameters_name;
  const NamedTensors tensors = read_safetensors(file);
  std::int64_t scalars = 0;
  for (const auto& [name, tensor] : tensors) {
    if (name.find(".running_") == std::string::npos) scalars += tensor.elements();
  }
  if (scalars != config.parameter_count()) {
    throw Error(fmt::format(
        "the files in '{}' do not belong together: {} describes {} parameters "
        "and {} holds {}",
        directory.string(), config_name, config.parameter_count(), parameters_name, scalars));
  }
  loaded.model = make_model(config, std::nullopt);
  assign(file, tensors, *loaded.model);
  return loaded;
}

}  // namespace sluice
