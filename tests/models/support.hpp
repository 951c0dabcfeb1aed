#pragma once
// Models for tests, and what they are fed.

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/random.hpp"
#include "sluice/models/language_model.hpp"
#include "support/gradient_check.hpp"
#include "support/model_configs.hpp"
#include "support/ngram_architecture.hpp"

namespace sluice::test {

inline std::vector<std::int32_t> random_ids(std::int64_t n, std::int64_t vocabulary,
                                            std::uint32_t stream) {
  std::vector<std::int32_t> ids;
  const RandomKey key{77, stream, 0};
  for (std::int64_t i = 0; i < n; ++i) {
    ids.push_back(static_cast<std::int32_t>(key.bits(static_cast<std::uint64_t>(i)) %
                                            static_cast<std::uint64_t>(vocabulary)));
  }
  return ids;
}

inline ModelConfig small_gcnn(const std::string& unit = "glu") {
  ModelConfig config;
  config.shape<GcnnShape>().layers = parse_layers("[(6,3),(6,1,0),(16,4,2),(16,2)]");
  config.vocabulary = 23;
  config.dim = 6;
  config.shape<GcnnShape>().unit = unit;
  config.softmax = "adaptive";
  config.cutoffs = {5, 11};
  return config;
}

/// Two layers of a recurrent architecture.
inline ModelConfig small_recurrent(const std::string& arch) {
  ModelConfig config(arch);
  config.norm = "none";
  config.vocabulary = 23;
  config.dim = 6;
  config.shape<RecurrentShape>().depth = 2;
  config.shape<RecurrentShape>().hidden = 16;
  config.softmax = "adaptive";
  config.cutoffs = {5, 11};
  return config;
}

/// Two blocks that see 4 positions.
inline ModelConfig small_transformer(const std::string& ffn = "swiglu") {
  ModelConfig config("transformer");
  config.vocabulary = 23;
  config.dim = 16;
  config.shape<TransformerShape>() = {
      .depth = 2, .heads = 2, .window = 4, .ffn = ffn, .ffn_width = 10};
  config.softmax = "adaptive";
  config.cutoffs = {5, 11};
  return config;
}

/// The tests' own architecture, reading 3 tokens.
inline ModelConfig small_ngram() {
  ModelConfig config("ngram");
  config.vocabulary = 23;
  config.dim = 6;
  config.shape<NgramShape>() = {.order = 3, .hidden = 16};
  config.softmax = "adaptive";
  config.cutoffs = {5, 11};
  return config;
}

inline double loss_of(LanguageModel& model, std::span<const std::int32_t> ids,
                      std::span<const std::int32_t> targets, std::int64_t batch, ModelState state,
                      const ForwardOptions& options = {}) {
  const NoGrad guard;
  const Variable h =
      model.hidden(ids, batch, static_cast<std::int64_t>(ids.size()) / batch, state, options);
  return *model.loss(h, targets, options).value().data<double>();
}

/// Every parameter's gradient of the whole model against central differences, dropout on, second
/// chunk of a text.
inline void check_model_gradients(const ModelConfig& config, const RowLabels& labels = {}) {
  const auto model = make_model(config, 3, DType::f64);
  const auto ids = random_ids(12, config.vocabulary, 1);
  const auto targets = random_ids(12, config.vocabulary, 2);
  std::vector<Variable> inputs;
  for (const Parameter& parameter : model->parameters()) {
    if (!parameter.variable.requires_grad()) continue;
    // Away from the zeros biases start with.
    const Tensor noise = random_tensor(parameter.variable.shape(),
                                       static_cast<std::uint32_t>(100 + inputs.size()), 0.05);
    for (std::int64_t i = 0; i < noise.elements(); ++i) {
      parameter.variable.value().data<double>()[i] += noise.data<double>()[i];
    }
    inputs.push_back(parameter.variable);
  }
  ModelState state;
  {
    const NoGrad guard;
    model->hidden(random_ids(12, config.vocabulary, 3), 2, 6, state, {});
  }
  ForwardOptions options;
  options.training = true;
  options.step = 4;
  options.labels = labels;
  check_gradients(
      inputs,
      [&] {
        ModelState from = state;
        const Variable h = model->hidden(ids, 2, 6, from, options);
        return model->loss(h, targets, options);
      },
      1e-7, 12);
}

}  // namespace sluice::test
