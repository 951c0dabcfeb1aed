#include "sluice/training/checkpoint.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

constexpr int checkpoint_version = 1;
constexpr std::string_view parameter_prefix = "parameter.";
constexpr std::string_view optimizer_prefix = "optimizer.";
constexpr std::string_view carried_prefix = "carried.";
constexpr std::string_view metadata_key = "training";

/// JSON has no infinities: they are left out, and reading keeps the default.
void put(nlohmann::json& json, const char* name, double value) {
  if (std::isfinite(value)) json[name] = value;
}

void get(const nlohmann::json& json, const char* name, double& value) {
  if (json.contains(name)) json.at(name).get_to(value);
}

std::string to_text(const TrainState& state, const std::vector<int>& carried) {
  nlohmann::json json{{"version", checkpoint_version},
                      {"step", state.step},
                      {"validated_step", state.validated_step},
                      {"best_step", state.best_step},
                      {"without_improvement", state.without_improvement},
                      {"decay", state.decay},
                      {"smoothed_loss", state.smoothed_loss},
                      {"smoothed_weight", state.smoothed_weight},
                      {"logged_loss", state.logged_loss},
                      {"logged_steps", state.logged_steps},
                      {"elapsed", state.elapsed},
                      {"fingerprint", state.fingerprint},
                      {"carried", carried}};
  put(json, "best_loss", state.best_loss);
  put(json, "last_validation_loss", state.last_validation_loss);
  return json.dump();
}

TrainState from_text(const std::string& file, const std::string& text, std::vector<int>& carried) {
  TrainState state;
  try {
    const auto json = nlohmann::json::parse(text);
    const int version = json.at("version").get<int>();
    if (version > checkpoint_version) {
      throw Error(
          fmt::format("'{}' has checkpoint version {}, and this program reads up to {}: "
                      "use a newer one",
                      file, version, checkpoint_version));
    }
    json.at("step").get_to(state.step);
    json.at("validated_step").get_to(state.validated_step);
    json.at("best_step").get_to(state.best_step);
    json.at("without_improvement").get_to(state.without_improvement);
    json.at("decay").get_to(state.decay);
    json.at("smoothed_loss").get_to(state.smoothed_loss);
    json.at("smoothed_weight").get_to(state.smoothed_weight);
    json.at("logged_loss").get_to(state.logged_loss);
    json.at("logged_steps").get_to(state.logged_steps);
    json.at("elapsed").get_to(state.elapsed);
    json.at("fingerprint").get_to(state.fingerprint);
    json.at("carried").get_to(carried);
    get(json, "best_loss", state.best_loss);
    get(json, "last_validation_loss", state.last_validation_loss);
  } catch (const nlohmann::json::exception& e) {
    throw Error(fmt::format("'{}' is no checkpoint that can be continued: {}", file, e.what()));
  }
  return state;
}

TrainState state_of(const std::filesystem::path& file, const Metadata& metadata,
                    std::vector<int>& carried) {
  const auto it = metadata.find(std::string(metadata_key));
  if (it == metadata.end()) {
    throw Error(fmt::format("'{}' is not a training checkpoint: its metadata has no '{}'",
                            file.string(), metadata_key));
  }
  return from_text(file.string(), it->second, carried);
}

void check_fingerprint(const std::filesystem::path& file,
                       const std::map<std::string, std::string>& expected,
                       const std::map<std::string, std::string>& found) {
  const auto fail = [&](const std::string& name, std::string_view there, std::string_view here) {
    throw Error(
        fmt::format("cannot resume from '{}': its {} is {}, that of this run is {}; use the "
                    "same {} or train into another directory",
                    file.string(), name, there, here, name));
  };
  for (const auto& [name, value] : expected) {
    const auto it = found.find(name);
    if (it == found.end()) fail(name, "not recorded", value);
    if (it->second != value) fail(name, it->second, value);
  }
  for (const auto& [name, value] : found) {
    if (!expected.contains(name)) fail(name, value, "not known");
  }
}

/// The tensors whose name starts with `prefix`, under the rest of their names.
NamedTensors with_prefix(const NamedTensors& tensors, std::string_view prefix) {
  NamedTensors out;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) out.emplace_back(name.substr(prefix.size()), tensor);
  }
  return out;
}

Tensor to_file(const Parameter& parameter) {
  const Tensor& value = parameter.variable.value();
  return parameter.to_file ? parameter.to_file(value) : value;
}

}  // namespace

void save_checkpoint(const std::filesystem::path& file, const LanguageModel& model,
                     const Optimizer& optimizer, const ModelState& carried,
                     const TrainState& state) {
  NamedTensors tensors;
  for (const Parameter& parameter : model.parameters()) {
    tensors.emplace_back(std::string(parameter_prefix) + parameter.name, to_file(parameter));
  }
  for (auto& [name, tensor] : optimizer.state()) {
    tensors.emplace_back(std::string(optimizer_prefix) + name, tensor);
  }
  // Layers that carry nothing (kernel width 1) have no tensor, or one without elements; the list
  // of those that have one puts the others back in their places.
  std::vector<int> defined;
  for (std::size_t i = 0; i < carried.tensors.size(); ++i) {
    const Tensor& tensor = carried.tensors[i];
    defined.push_back(tensor.defined() ? 1 : 0);
    if (tensor.defined()) {
      tensors.emplace_back(fmt::format("{}{}", carried_prefix, i), tensor);
    }
  }
  write_safetensors(file, tensors, {{std::string(metadata_key), to_text(state, defined)}});
}

TrainState load_checkpoint(const std::filesystem::path& file,
                           const std::map<std::string, std::string>& fingerprint,
                           LanguageModel& model, Optimizer& optimizer, ModelState& carried) {
  Metadata metadata;
  const NamedTensors tensors = read_safetensors(file, &metadata);
  std::vector<int> defined;
  TrainState state = state_of(file, metadata, defined);
  check_fingerprint(file, fingerprint, state.fingerprint);

  std::unordered_map<std::string, Tensor> by_name(tensors.begin(), tensors.end());
  const auto find = [&](const std::string& name) {
    const auto it = by_name.find(name);
    if (it == by_name.end()) {
      throw Error(
          fmt::format("cannot resume from '{}': tensor '{}' is missing", file.string(), name));
    }
    return it->second;
  };
  std::vector<Tensor> values;
  for (const Parameter& parameter : model.parameters()) {
    Tensor found = find(std::string(parameter_prefix) + parameter.name);
    const Tensor expected = to_file(parameter);
    if (found.shape() != expected.shape() || found.dtype() != expected.dtype()) {
      throw Error(fmt::format("cannot resume from '{}': parameter '{}' must be {} {}, got {} {}",
                              file.string(), parameter.name, dtype_name(expected.dtype()),
                              expected.shape().str(), dtype_name(found.dtype()),
                              found.shape().str()));
    }
    values.push_back(parameter.from_file ? parameter.from_file(found) : found);
  }
  ModelState state_tensors;
  for (std::size_t i = 0; i < defined.size(); ++i) {
    state_tensors.tensors.push_back(defined[i] != 0 ? find(fmt::format("{}{}", carried_prefix, i))
                                                    : Tensor{});
  }
  optimizer.load_state(with_prefix(tensors, optimizer_prefix));
  for (std::size_t p = 0; p < values.size(); ++p) {
    model.parameters()[p].variable.value().copy_from(values[p]);
  }
  carried = std::move(state_tensors);
  return state;
}

TrainState read_checkpoint_state(const std::filesystem::path& file) {
  Metadata metadata;
  read_safetensors(file, &metadata);
  std::vector<int> defined;
  return state_of(file, metadata, defined);
}

}  // namespace sluice
