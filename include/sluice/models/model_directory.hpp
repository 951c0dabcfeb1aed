#pragma once
// A model directory: config.json, model.safetensors, the tokenizer's file.

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "sluice/models/language_model.hpp"
#include "sluice/text/tokenizer.hpp"

namespace sluice {

/// A model and its tokenizer, read from a directory.
struct LoadedModel {
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<Tokenizer> tokenizer;
};

/// Writes the parameters to `file` (safetensors, file layout), atomically.
void save_parameters(const std::filesystem::path& file, const LanguageModel& model);
/// Reads them back. Throws Error naming the first tensor that is missing, unknown or of another
/// shape (expected and found).
void load_parameters(const std::filesystem::path& file, LanguageModel& model);

/// DIRECTORY/config.json, parsed: an object with at least "format_version" and "model". Throws
/// Error for a directory that holds no model, a damaged file, or a newer format version.
nlohmann::json read_model_config(const std::filesystem::path& directory);

/// Reads DIRECTORY's best weights (model.safetensors) and tokenizer, checking that the vocabulary
/// sizes agree.
LoadedModel load_model(const std::filesystem::path& directory);

/// config.json's format version this library writes and the newest it reads.
inline constexpr int model_format_version = 1;

}  // namespace sluice
