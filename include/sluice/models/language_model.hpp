#pragma once
// The interface every language model offers to the trainer, the scorers and the samplers.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/models/config.hpp"
#include "sluice/models/frozen_stack.hpp"
#include "sluice/nn/forward_options.hpp"
#include "sluice/nn/frozen_tokens.hpp"
#include "sluice/nn/module.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What a model carries from one chunk of a text to the next: for convolutions the last K-1 inputs
/// of each layer, [B, K-1, C]; for recurrent layers their hidden states, [B, H]; for attention the
/// keys and values of its window. Empty means the start of a text. The tensors are never written
/// once made, so copying a state is cheap and safe.
struct ModelState {
  std::vector<Tensor> tensors;
};

/// Throws UsageError when `path` cannot serve one of the model's convolutions.
void check_conv_path(const ModelConfig& config, ConvPath path);

/// A model as training knows it: its forward passes record what gradients need. One thread at a
/// time; what threads share is its frozen form (inference/frozen_model.hpp).
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  const ModelConfig& config() const { return config_; }
  /// Every tensor of the model, in file order: the trainable ones, and running statistics, whose
  /// variables require no gradient.
  virtual const Parameters& parameters() const = 0;
  /// Positions a prediction depends on; none when it depends on all that came before, or on where
  /// in the text it stands.
  virtual std::optional<std::int64_t> receptive_field() const = 0;

  /// Last hidden layer for ids [B, T] (row-major): [B·T, D]. Reads `state` as what came before
  /// (empty: the start of the text) and replaces it with what comes after.
  virtual Variable hidden(std::span<const std::int32_t> ids, std::int64_t batch, std::int64_t time,
                          ModelState& state, const ForwardOptions& options) = 0;

  /// Mean negative log-likelihood (nats) of targets [R] given hidden rows [R, D]: [1]. When `nll`
  /// [R] is given it receives each row's.
  virtual Variable loss(const Variable& hidden, std::span<const std::int32_t> targets,
                        const ForwardOptions& options, Tensor* nll = nullptr) = 0;

  /// What turns tokens into vectors and back, and what is between, for use without training:
  /// independent of this model from then on (see FreezeOptions::copy). float32 models only.
  virtual std::unique_ptr<FrozenTokens> freeze_tokens(const FreezeOptions& options) const = 0;
  virtual std::unique_ptr<FrozenStack> freeze_stack(const FreezeOptions& options) const = 0;

  /// Puts weights back into the bounds their layers ask for (IndRNN's |u|), after each optimizer
  /// step.
  virtual void constrain() {}

 protected:
  explicit LanguageModel(ModelConfig config) : config_(std::move(config)) {}
  ModelConfig config_;
};

/// Builds a model with initial weights drawn from `seed` (see docs), or without a seed with zeros,
/// which costs much less: for a model whose parameters are about to be loaded. dtype is f32, or f64
/// in gradient tests. Throws UsageError for an invalid config.
std::unique_ptr<LanguageModel> make_model(const ModelConfig& config,
                                          std::optional<std::uint64_t> seed,
                                          DType dtype = DType::f32);

}  // namespace sluice
SLUICE_API_END
