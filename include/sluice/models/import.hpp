#pragma once
// Models that other programs trained.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/models/config.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What a checkpoint does not say itself.
struct ImportOptions {
  /// The vocabulary, as read_tokenizer() takes it: fairseq's dict.txt, a list of words, ...
  std::filesystem::path dictionary = {};
  /// Layers of a fairseq model whose file has no "args" and no "cfg": fairseq's decoder_layers.
  std::string layers = {};
  /// A JSON file whose "model" is a config.json's, for weights under Sluice's own names, or under
  /// those that `map` gives.
  std::filesystem::path config = {};
  /// Lines "OURS THEIRS": under which name a tensor of ours is in the file. Empty: ours.
  std::filesystem::path map = {};
};

/// What was imported.
struct ImportReport {
  /// "a fairseq fconv_lm", ...
  std::string kind;
  ModelConfig config;
  std::int64_t tensors = 0;
  /// Tensors of the file that the model has no use for.
  std::vector<std::string> unused;
  /// Classes and functions that the file names: none was made or called.
  std::vector<std::string> inert;
};

/// Writes `out`, a model directory, from the file of another program: safetensors, or what
/// torch.save() wrote. Known are fairseq's fconv_lm, word language models of torch.nn.RNN, LSTM or
/// GRU as PyTorch's example names them (encoder, rnn, decoder; an AdaptiveLogSoftmaxWithLoss for
/// the decoder), and, with a configuration, any of ours. Tensors are read and written one by one.
/// Nothing in the file is run.
///
/// Throws Error for a file that is damaged, hostile or of another kind, for tensors that are
/// missing or of another shape, and when the vocabulary has another size; UsageError for an option
/// that is missing. `out` is made when it is missing, and config.json is written last.
ImportReport import_model(const std::filesystem::path& file, const ImportOptions& options,
                          const std::filesystem::path& out);

}  // namespace sluice
SLUICE_API_END
