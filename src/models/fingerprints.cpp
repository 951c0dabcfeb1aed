#include "fingerprints.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/model_directory.hpp"

namespace sluice {
namespace {

constexpr const char* config_key = "model_config";
constexpr const char* tokenizer_key = "tokenizer_xxh3_64";

}  // namespace

Metadata fingerprints(const ModelConfig& config, const std::filesystem::path& tokenizer_file) {
  const nlohmann::json json = config;
  Metadata metadata = {{config_key, json.dump()}};
  if (std::filesystem::exists(tokenizer_file)) {
    metadata[tokenizer_key] = file_checksum(tokenizer_file);
  }
  return metadata;
}

void check_fingerprints(const std::filesystem::path& file, const Metadata& metadata,
                        const ModelConfig& config, const std::filesystem::path& tokenizer_file) {
  const std::string directory = file.parent_path().string();
  if (const auto found = metadata.find(config_key); found != metadata.end()) {
    const std::string where = fmt::format("'{}', metadata {}", file.string(), config_key);
    nlohmann::json saved;
    try {
      // As this version has it: a field that the writer did not know has its default.
      saved =
          parse_json_document(found->second, {.where = where, .origin = FieldPlace::Origin::file})
              .get<ModelConfig>();
    } catch (const Error& error) {
      throw Error(fmt::format("{}: {}", where, error.what()));
    }
    const nlohmann::json given = config;
    for (const auto& [name, value] : given.items()) {
      const nlohmann::json before = saved.value(name, nlohmann::json());
      if (name == "dropout" || value == before) continue;
      throw Error(
          fmt::format("the files in '{}' do not belong together: {} says that {} is {}, and the "
                      "weights in {} were saved with {}",
                      directory, ModelDirectory::config_name, name, shown(value_of(value)),
                      file.filename().string(), shown(value_of(before))));
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
