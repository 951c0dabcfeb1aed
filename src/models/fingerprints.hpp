#pragma once
// What a file of weights says of the files that it goes with.

#include <filesystem>
#include <optional>

#include "sluice/models/config.hpp"
#include "sluice/models/safetensors.hpp"

namespace sluice {

/// Metadata for a file of weights of a model of `config`: that configuration ("model_config", the
/// JSON of config.json's "model" section) and the XXH3 checksum of the file of its tokenizer
/// ("tokenizer_xxh3_64"), which is left out when there is no such file. Throws Error when the file
/// cannot be read.
Metadata fingerprints(const ModelConfig& config, const std::filesystem::path& tokenizer_file);

/// The configuration that the weights in `file` were saved with; none where the metadata have none.
/// Throws Error for one that is damaged.
std::optional<ModelConfig> config_in(const std::filesystem::path& file, const Metadata& metadata);

/// Throws Error when the weights in `file`, whose metadata is given, were saved with another
/// configuration, naming the first field that differs with both values, or with another tokenizer.
/// Of a configuration, dropout may differ: it is for training alone. Metadata without fingerprints,
/// as older versions and other programs write it, passes.
void check_fingerprints(const std::filesystem::path& file, const Metadata& metadata,
                        const ModelConfig& config, const std::filesystem::path& tokenizer_file);

}  // namespace sluice
