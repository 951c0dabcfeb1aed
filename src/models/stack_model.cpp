#include "stack_model.hpp"

#include <fmt/format.h>

#include "sluice/autograd/recurrent.hpp"
#include "sluice/base/error.hpp"

namespace sluice {

StackModel::StackModel(const ModelConfig& config, std::int64_t width,
                       std::optional<std::uint64_t> seed, DType dtype)
    : LanguageModel(config),
      tokens_(make_token_layers(
          {.vocabulary = config.vocabulary,
           .dim = config.dim,
           .hidden = width,
           .cutoffs = config.softmax == "adaptive" ? config.cutoffs : std::vector<std::int64_t>{},
           .tie = config.tie},
          dtype, {seed, 0})) {
  tokens_->collect(parameters_);
}

Variable StackModel::hidden(std::span<const std::int32_t> ids, std::int64_t batch,
                            std::int64_t time, ModelState& state, const ForwardOptions& options) {
  if (static_cast<std::int64_t>(ids.size()) != batch * time) {
    throw Error(fmt::format("the model's forward pass got {} ids for a batch of {} by {}",
                            ids.size(), batch, time));
  }
  const Variable x = LayerProbe{options.probe, {}, {}}.see(
      ProbePoint::embedded,
      reshape(tokens_->embed(ids, options.precision), Shape{batch, time, config_.dim}));
  const Variable y = stack(x, state, options);
  return reshape(drop(y, output_dropout_stream(), options), Shape{batch * time, y.shape()[2]});
}

Variable StackModel::loss(const Variable& hidden, std::span<const std::int32_t> targets,
                          const ForwardOptions& options, Tensor* nll) {
  if (nll != nullptr) {
    *nll = Tensor::zeros(Shape{static_cast<std::int64_t>(targets.size())}, hidden.dtype());
  }
  return tokens_->loss(hidden, targets, nll == nullptr ? Tensor() : *nll, options.precision);
}

Tensor StackModel::log_probabilities(const Tensor& hidden) {
  return tokens_->log_probabilities(hidden);
}

Variable StackModel::drop(const Variable& x, std::uint32_t stream,
                          const ForwardOptions& options) const {
  const Dropout dropout = dropout_for(stream, options);
  return config_.recurrent.variational ? dropout_over_time(x, dropout)
                                       : sluice::dropout(x, dropout);
}

Dropout StackModel::dropout_for(std::uint32_t stream, const ForwardOptions& options) const {
  if (!options.training) return {};
  return {config_.dropout, options.seed, stream, options.step};
}

}  // namespace sluice
