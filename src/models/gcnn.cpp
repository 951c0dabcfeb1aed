// The gated convolutional language model (Dauphin et al. 2017): a stack of weight-normalised causal
// gated convolutions with residual connections, between token layers.

#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/nn/gated_conv.hpp"
#include "sluice/nn/token_layers.hpp"

namespace sluice {
namespace {

// Initialiser streams: token layers count up from 0, layers from here.
constexpr std::uint32_t kLayerStream = 1024;
// Dropout streams: layer i's input is i, the last hidden layer's is the number of layers.

class Gcnn final : public LanguageModel {
 public:
  Gcnn(const ModelConfig& config, std::optional<std::uint64_t> seed, DType dtype)
      : LanguageModel(config) {
    const Unit unit = parse_unit(config.unit);
    std::vector<std::int64_t> widths{config.dim};  // of the embedding, then of each layer's output
    std::uint32_t stream = kLayerStream;
    for (const LayerSpec& spec : config.layers) {
      Layer layer{GatedConv1d({.channels = widths.back(),
                               .outputs = spec.channels,
                               .kernel = spec.kernel,
                               .unit = unit,
                               .weight_norm = config.weight_norm},
                              dtype, {seed, stream++}),
                  nullptr, -1};
      if (spec.residual > 0) {
        layer.residual = static_cast<std::int64_t>(widths.size()) - spec.residual;
        const std::int64_t width = widths[static_cast<std::size_t>(layer.residual)];
        if (width != spec.channels) {
          layer.projection =
              std::make_unique<GatedConv1d>(GatedConv1d::Options{.channels = width,
                                                                 .outputs = spec.channels,
                                                                 .kernel = 1,
                                                                 .unit = {},
                                                                 .weight_norm = config.weight_norm,
                                                                 .linear_layout = true},
                                            dtype, InitKey{seed, stream});
        }
      }
      ++stream;
      widths.push_back(spec.channels);
      layers_.push_back(std::move(layer));
    }
    last_use_.assign(widths.size(), 0);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      last_use_[i] = std::max(last_use_[i], i);
      if (layers_[i].residual >= 0) last_use_[static_cast<std::size_t>(layers_[i].residual)] = i;
    }
    tokens_ = make_token_layers(
        {.vocabulary = config.vocabulary,
         .dim = config.dim,
         .hidden = widths.back(),
         .cutoffs = config.softmax == "adaptive" ? config.cutoffs : std::vector<std::int64_t>{},
         .tie = config.tie},
        dtype, {seed, 0});
    tokens_->collect(parameters_);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const std::string prefix = fmt::format("layers.{}.", i);
      layers_[i].conv.collect(parameters_, prefix);
      if (layers_[i].projection)
        layers_[i].projection->collect(parameters_, prefix + "projection.");
    }
  }

  const Parameters& parameters() const override { return parameters_; }

  std::int64_t receptive_field() const override {
    std::int64_t field = 1;
    for (const LayerSpec& spec : config_.layers) field += spec.kernel - 1;
    return field;
  }

  Variable hidden(std::span<const std::int32_t> ids, std::int64_t batch, std::int64_t time,
                  ModelState& state, const ForwardOptions& options) override {
    if (static_cast<std::int64_t>(ids.size()) != batch * time) {
      throw Error(fmt::format("the model's forward pass got {} ids for a batch of {} by {}",
                              ids.size(), batch, time));
    }
    ModelState next;
    std::vector<Variable> values(layers_.size() + 1);  // inputs of layers, freed after last use
    const Variable embedded = tokens_->embed(ids, options.precision);
    values[0] = reshape(embedded, Shape{batch, time, config_.dim});
    std::size_t carried = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const Layer& layer = layers_[i];
      CausalConv conv;
      conv.dropout = layer_dropout(i, options);
      conv.precision = options.precision;
      conv.path = options.conv;
      conv.recompute = options.recompute;
      Tensor context;
      if (layer.conv.options().kernel > 1) {
        if (carried < state.tensors.size()) conv.context = state.tensors[carried];
        ++carried;
      }
      Variable residual;
      if (layer.residual >= 0) {
        conv.scale = std::sqrt(0.5);
        residual = values[static_cast<std::size_t>(layer.residual)];
        if (layer.projection) {
          CausalConv project;
          project.precision = options.precision;
          residual = layer.projection->forward(residual, {}, project, nullptr);
        }
      }
      const bool carries = layer.conv.options().kernel > 1;
      values[i + 1] = layer.conv.forward(values[i], residual, conv, carries ? &context : nullptr);
      if (carries) next.tensors.push_back(std::move(context));
      for (std::size_t j = 0; j <= i; ++j) {
        if (last_use_[j] == i) values[j] = Variable();
      }
    }
    state = std::move(next);
    const Variable& last = values.back();
    const Variable flat = reshape(last, Shape{batch * time, last.shape()[2]});
    return sluice::dropout(flat, layer_dropout(layers_.size(), options));
  }

  Variable loss(const Variable& hidden, std::span<const std::int32_t> targets,
                const ForwardOptions& options, Tensor* nll) override {
    if (nll != nullptr) {
      *nll = Tensor::zeros(Shape{static_cast<std::int64_t>(targets.size())}, hidden.dtype());
    }
    return tokens_->loss(hidden, targets, nll == nullptr ? Tensor() : *nll, options.precision);
  }

  Tensor log_probabilities(const Tensor& hidden) override {
    return tokens_->log_probabilities(hidden);
  }

  void freeze() override {
    for (Layer& layer : layers_) {
      layer.conv.freeze();
      if (layer.projection) layer.projection->freeze();
    }
  }

  void unfreeze() override {
    for (Layer& layer : layers_) {
      layer.conv.unfreeze();
      if (layer.projection) layer.projection->unfreeze();
    }
  }

 private:
  struct Layer {
    GatedConv1d conv;
    std::unique_ptr<GatedConv1d> projection;
    std::int64_t residual;  // index into the layers' inputs, or -1
  };

  Dropout layer_dropout(std::size_t layer, const ForwardOptions& options) const {
    if (!options.training) return {};
    return {config_.dropout, options.seed, static_cast<std::uint32_t>(layer), options.step};
  }

  std::vector<Layer> layers_;
  std::vector<std::size_t> last_use_;
  std::unique_ptr<TokenLayers> tokens_;
  Parameters parameters_;
};

}  // namespace

void check_conv_path(const ModelConfig& config, ConvPath path) {
  if (path != ConvPath::fast) return;
  for (const LayerSpec& layer : config.layers) check_fast_kernel(layer.kernel);
}

std::unique_ptr<LanguageModel> make_model(const ModelConfig& config,
                                          std::optional<std::uint64_t> seed, DType dtype) {
  config.validate();
  return std::make_unique<Gcnn>(config, seed, dtype);
}

}  // namespace sluice
