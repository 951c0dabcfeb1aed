#include "sluice/training/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/models/model_directory.hpp"

namespace sluice {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

void check_known(const std::string& what, const json& object,
                 const std::vector<std::string>& known) {
  if (!object.is_object()) {
    throw UsageError(fmt::format("{}: expected an object, got {}", what, object.type_name()));
  }
  for (const auto& item : object.items()) parse_name(what + " field", item.key(), known);
}

void check_structure(const json& settings) {
  check_known("config", settings,
              {"format_version", "model", "training", "tokenizer", "data", "threads", "out"});
  if (settings.contains("data")) {
    check_known("data", settings["data"], {"train", "valid", "valid_fraction"});
  }
  for (const char* section : {"model", "training", "tokenizer"}) {
    if (settings.contains(section) && !settings[section].is_object()) {
      throw UsageError(fmt::format("config: '{}' must be an object, got {}", section,
                                   settings[section].type_name()));
    }
  }
}

bool has(const json& settings, const char* section, const char* field) {
  return settings.contains(section) && settings[section].contains(field);
}

std::vector<fs::path> paths(const json& data, const char* field) {
  std::vector<fs::path> found;
  if (!data.contains(field)) return found;
  const json& value = data[field];
  // One path may stand for itself.
  const json list = value.is_string() ? json::array({value}) : value;
  const bool strings = list.is_array() && std::all_of(list.begin(), list.end(),
                                                      [](const json& j) { return j.is_string(); });
  if (!strings) {
    throw UsageError(
        fmt::format("config: 'data.{}' must be a list of paths, got {}", field, value.dump()));
  }
  for (const json& path : list) found.emplace_back(path.get<std::string>());
  return found;
}

json path_list(const std::vector<fs::path>& files) {
  json list = json::array();
  for (const fs::path& file : files) list.push_back(file.string());
  return list;
}

}  // namespace

std::string Settings::text() const {
  const json all = {{"format_version", model_format_version},
                    {"model", model},
                    {"training", training},
                    {"tokenizer", tokenizer},
                    {"data",
                     {{"train", path_list(train_files)},
                      {"valid", path_list(valid_files)},
                      {"valid_fraction", valid_fraction}}},
                    {"threads", threads}};
  return all.dump(2) + "\n";
}

Settings merge_settings(const json& base, const json& given) {
  constexpr std::int64_t most_threads = 4096;
  check_structure(base);
  check_structure(given);
  json all = base;
  if (has(given, "model", "preset") && all.contains("model")) {
    for (const char* field : {"layers", "dim", "softmax", "cutoffs"}) all["model"].erase(field);
  }
  if (has(given, "model", "layers") && all.contains("model")) all["model"].erase("preset");
  if (has(given, "data", "valid_fraction") && all.contains("data")) all["data"].erase("valid");
  // Not merge_patch: a null in a file is a value of the wrong type, no request to erase.
  for (const auto& item : given.items()) {
    if (item.value().is_object() && all.contains(item.key())) {
      all[item.key()].update(item.value());
    } else {
      all[item.key()] = item.value();
    }
  }

  Settings settings;
  if (all.contains("out")) {
    if (!all["out"].is_string()) throw UsageError("config: 'out' must be a path");
    settings.out = all["out"].get<std::string>();
  }
  if (all.contains("threads")) {
    const json& threads = all["threads"];
    if (!threads.is_number_integer() || threads < 1 || threads > most_threads) {
      throw UsageError(
          fmt::format("threads must be from 1 to {}, got {}", most_threads, threads.dump()));
    }
    settings.threads = threads.get<std::int64_t>();
  }
  if (all.contains("data")) {
    const json& data = all["data"];
    settings.train_files = paths(data, "train");
    settings.valid_files = paths(data, "valid");
    if (data.contains("valid_fraction")) {
      const json& fraction = data["valid_fraction"];
      if (!fraction.is_number() || fraction < 0 || fraction >= 1) {
        throw UsageError(fmt::format(
            "the fraction to hold out for validation must be 0 or more and less than 1, got {}",
            fraction.dump()));
      }
      settings.valid_fraction = fraction.get<double>();
    }
  }
  for (auto [name, section] : {std::pair{"tokenizer", &settings.tokenizer},
                               {"model", &settings.model},
                               {"training", &settings.training}}) {
    if (all.contains(name)) *section = all[name];
  }
  return settings;
}

void check_resumed_tokenizer(const json& base, const json& given) {
  if (!given.contains("tokenizer") || !base.contains("tokenizer")) return;
  for (const auto& item : given["tokenizer"].items()) {
    const auto before = base["tokenizer"].find(item.key());
    if (before == base["tokenizer"].end() || *before == item.value()) continue;
    throw Error(
        fmt::format("cannot resume with another tokenizer: {} is {} and was {}; leave the flag out "
                    "or start a new run",
                    item.key(), item.value().dump(), before->dump()));
  }
}

}  // namespace sluice
