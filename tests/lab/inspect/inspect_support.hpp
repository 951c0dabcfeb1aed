#pragma once
// Models over a tiny text's words, for inspections.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "lab/support.hpp"
#include "sluice/base/random.hpp"
#include "sluice/lab/inspect/inspect.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/text/corpus.hpp"
#include "sluice/text/tokenizer.hpp"
#include "support/gradient_check.hpp"

namespace sluice::lab_test {

/// A parameter in its file's layout.
inline Tensor parameter(const LanguageModel& model, const std::string& name) {
  for (const Parameter& each : model.parameters()) {
    if (each.name != name) continue;
    return each.to_file ? each.to_file(each.variable.value()) : each.variable.value();
  }
  throw std::runtime_error("no parameter " + name);
}

/// Fills every parameter of a float64 model with normal variates.
inline void spread_parameters(const LanguageModel& model, double deviation) {
  std::uint32_t stream = 40;
  for (const Parameter& each : model.parameters()) {
    each.variable.value().copy_from(
        test::random_tensor(each.variable.shape(), ++stream, deviation));
  }
}

inline nlohmann::json as_json(const Inspection& inspection) {
  return nlohmann::json::parse(inspection_json(inspection));
}

class Inspect : public Lab {
 public:
  /// Without norm, with a full softmax.
  ModelConfig config(const std::string& layers, const std::string& unit) const {
    ModelConfig config;
    if (!layers.empty()) config.shape<GcnnShape>().layers = parse_layers(layers);
    config.shape<GcnnShape>().unit = unit;
    config.dim = 6;
    config.vocabulary = tokenizer_->size();
    config.norm = "none";
    config.softmax = "full";
    return config;
  }

 protected:
  Inspect()
      : tokenizer_(train_tokenizer({.kind = "word"}, {directory_ / "text.txt"})),
        text_(tokenize_corpus({directory_ / "text.txt"}, *tokenizer_, directory_ / "cache")) {}

  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<TokenShards> text_;
};

}  // namespace sluice::lab_test
