#pragma once
// Models for the programs of others.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"
#include "sluice/models/model_directory.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How the graphs of an ONNX export are called and what they take (docs/export.md).
enum class OnnxLayout : std::uint8_t {
  plain,   ///< whole.onnx and step.onnx
  sherpa,  ///< lm.onnx and lm-streaming.onnx, as sherpa-onnx reads language models
};
const EnumNames<OnnxLayout>& enum_names(OnnxLayout);

struct OnnxOptions {
  OnnxLayout layout = OnnxLayout::plain;
  /// Weights of products and token vectors as int8 (QDQ).
  bool int8 = false;
  /// A file with more bytes of weights than this has them beside it, in NAME.onnx.weights: Protocol
  /// Buffers end at 2 GB.
  std::int64_t most_embedded = 1'900'000'000;
};

/// Writes graphs of the model to `out`, which is made when it is missing, with its tokens
/// (tokens.txt: "TOKEN NUMBER" lines) and its tokenizer. Returns the names of the files.
///
/// Throws Error when this build has no ONNX, and for an architecture, a norm or a unit that no
/// graph holds. float32 models only.
std::vector<std::string> export_onnx(const LoadedModel& model, const OnnxOptions& options,
                                     const std::filesystem::path& out);

/// Writes model.safetensors, the model's tensors under PyTorch's names, and model.py, a module that
/// loads them, to `out`, with the tokens as export_onnx() does. What Sluice ties is written twice.
/// Throws Error for an architecture, a cell or a norm that PyTorch does not have.
std::vector<std::string> export_torch(const LoadedModel& model, const std::filesystem::path& out);

/// Writes tokens.txt and the tokenizer to `out`, which there must be. Returns the files' names.
std::vector<std::string> write_tokens(const Tokenizer& tokenizer, const std::filesystem::path& out);

}  // namespace sluice
SLUICE_API_END
