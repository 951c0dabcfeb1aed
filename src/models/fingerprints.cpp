#include "fingerprints.hpp"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/model_directory.hpp"

namespace sluice {
namespace {

constexpr const char* config_key = "model_config";
constexpr const char* tokenizer_key = "tokenizer_xxh3_64";

/// A field of two configurations; null where it is not there.
struct Difference {
  std::string name;
  Value value, before;
};

/// The first field of `given`, by name, in which `saved` differs, dropout excepted.
std::optional<Difference> first_difference(const ModelConfig& given, const ModelConfig& saved) {
  const Value now = write_model(given), before = write_model(saved);
  std::optional<Difference> first;
  for (const auto& [name, value] : *now.as<Value::Object>()) {
    const Value* const other = before.find(name);
    if (name == "dropout" || (other != nullptr && *other == value)) continue;
    if (first && first->name < name) continue;
    first = {name, value, other != nullptr ? *other : Value()};
  }
  return first;
}

}  // namespace

Metadata fingerprints(const ModelConfig& config, const std::filesystem::path& tokenizer_file) {
  Metadata metadata = {{config_key, json_text(write_model(config))}};
  if (is_there(tokenizer_file)) {
    metadata[tokenizer_key] = file_checksum(tokenizer_file);
  }
  return metadata;
}

std::optional<ModelConfig> config_in(const std::filesystem::path& file, const Metadata& metadata) {
  const auto found = metadata.find(config_key);
  if (found == metadata.end()) return std::nullopt;
  const std::string where = fmt::format("'{}', metadata {}", file.string(), config_key);
  try {
    // As this version has it: a field that the writer did not know has its default.
    return read_model(
        parse_json(found->second, {.where = where, .origin = FieldPlace::Origin::file}),
        {.where = "model config", .origin = FieldPlace::Origin::file});
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", where, error.what()));
  }
}

void check_fingerprints(const std::filesystem::path& file, const Metadata& metadata,
                        const ModelConfig& config, const std::filesystem::path& tokenizer_file) {
  const std::string directory = file.parent_path().string();
  if (const auto saved = config_in(file, metadata)) {
    if (const auto other = first_difference(config, *saved)) {
      throw Error(
          fmt::format("the files in '{}' do not belong together: {} says that {} is {}, and the "
                      "weights in {} were saved with {}",
                      directory, ModelDirectory::config_name, other->name, shown(other->value),
                      file.filename().string(), shown(other->before)));
    }
  }
  if (const auto found = metadata.find(tokenizer_key); found != metadata.end()) {
    if (file_checksum(tokenizer_file) == found->second) return;
    throw Error(
        fmt::format("the files in '{}' do not belong together: {} is not the tokenizer that the "
                    "weights in {} were saved with; it is damaged or of another model",
                    directory, tokenizer_file.filename().string(), file.filename().string()));
  }
}

}  // namespace sluice
