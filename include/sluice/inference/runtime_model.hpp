#pragma once
// Trained models prepared for use once, on disk: mapped by every process that uses them.

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "sluice/base/api.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/tensor/freeze.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What a runtime model's file says of itself.
struct RuntimeInfo {
  WeightPrecision precision = WeightPrecision::int8;
  /// Of its tensors.
  std::size_t bytes = 0;
};

/// Freezes the model in `source` and writes it to `directory`, which is made when it is missing:
/// config.json, the tokenizer and a file of weights that load_frozen_model() maps
/// (docs/formats.md). The file of weights comes last and at once. Throws UsageError for f32, which
/// a model directory serves, and Error when `directory` holds a trained model, or is not empty and
/// holds no runtime model, or cannot be written.
void write_runtime_model(const std::filesystem::path& directory, const ModelDirectory& source,
                         WeightPrecision precision);

/// Whether a runtime model's checksum is computed.
enum class Verify : std::uint8_t {
  when_changed,  ///< once per file and change, which a stamp beside it tells of
  always,
};

/// Reads the header alone. Throws Error for another version, or a damaged or truncated file.
RuntimeInfo runtime_info(const ModelDirectory& files);

/// A runtime model: its weights stay where the file is mapped, which all processes share, and
/// nothing is prepared. Throws Error before anything large is allocated when the file is damaged,
/// truncated or of another version, or when the directory's files do not belong together.
LoadedFrozenModel load_runtime_model(const ModelDirectory& files,
                                     Verify verify = Verify::when_changed);

}  // namespace sluice
SLUICE_API_END
