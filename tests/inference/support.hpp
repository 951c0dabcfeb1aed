#pragma once
// Small models and tokenizers for the tests of inference.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "sluice/base/file.hpp"
#include "sluice/base/random.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/text/tokenizer.hpp"

namespace sluice::testing_support {

inline std::unique_ptr<Tokenizer> tokenizer(const std::string& kind, const std::string& text) {
  const auto file = std::filesystem::temp_directory_path() /
                    ("sluice_inference_text_" + std::to_string(getpid()));
  write_file(file, text);
  TokenizerOptions options;
  options.kind = kind;
  auto made = train_tokenizer(options, {file});
  std::filesystem::remove(file);
  return made;
}

/// A model with weights large enough that every input matters to every output.
inline std::unique_ptr<LanguageModel> model(const std::string& layers, std::int64_t vocabulary,
                                            std::vector<std::int64_t> cutoffs = {},
                                            std::int64_t dim = 12, bool tie = false) {
  ModelConfig config;
  config.shape<GcnnShape>().layers = parse_layers(layers);
  config.vocabulary = vocabulary;
  config.dim = dim;
  config.softmax = cutoffs.empty() ? "full" : "adaptive";
  config.cutoffs = std::move(cutoffs);
  config.tie = tie;
  auto made = make_model(config, 7);
  for (const Parameter& parameter : made->parameters()) {
    if (parameter.name.find("softmax") == std::string::npos &&
        parameter.name.find("embedding") == std::string::npos) {
      continue;
    }
    const Tensor& value = parameter.variable.value();
    for (std::int64_t i = 0; i < value.elements(); ++i) value.data<float>()[i] *= 3;
  }
  return made;
}

inline std::vector<std::int32_t> random_ids(std::size_t count, std::int64_t vocabulary,
                                            std::uint64_t seed = 1) {
  std::vector<std::int32_t> ids(count);
  const RandomKey key{seed, 99, 0};
  for (std::size_t i = 0; i < count; ++i) {
    ids[i] = static_cast<std::int32_t>(key.bits(i) % static_cast<std::uint64_t>(vocabulary));
  }
  return ids;
}

/// log p(target[i] | inputs up to i) by one forward pass over the whole text and the full
/// distribution: the plain way, to compare with.
inline std::vector<double> plain_log_probabilities(LanguageModel& model,
                                                   const std::vector<std::int32_t>& inputs,
                                                   const std::vector<std::int32_t>& targets) {
  const NoGrad no_grad;
  ModelState state;
  const auto time = static_cast<std::int64_t>(inputs.size());
  const Tensor all =
      model.freeze_tokens({})->log_probabilities(model.hidden(inputs, 1, time, state, {}).value());
  std::vector<double> out;
  for (std::int64_t t = 0; t < time; ++t) {
    out.push_back(all.data<float>()[t * all.dim(1) + targets[static_cast<std::size_t>(t)]]);
  }
  return out;
}

}  // namespace sluice::testing_support
