// The gated convolutional language model (Dauphin et al. 2017): a stack of weight-normalised causal
// gated convolutions with residual connections, between token layers.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "architecture.hpp"
#include "frozen_gcnn.hpp"
#include "json_fields.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/nn/gated_conv.hpp"
#include "sluice/nn/unit_layer.hpp"
#include "stack_model.hpp"

namespace sluice {
namespace {

GatedConv1d::Options layer_options(const ModelConfig& config, std::int64_t channels,
                                   const LayerSpec& spec) {
  return {.channels = channels,
          .outputs = spec.channels,
          .kernel = spec.kernel,
          .unit = config.unit,
          .norm = config.norm,
          .groups = config.groups};
}

/// What brings a residual of another width to the layer's.
GatedConv1d::Options projection_options(const ModelConfig& config, std::int64_t channels,
                                        const LayerSpec& spec) {
  return {.channels = channels,
          .outputs = spec.channels,
          .kernel = 1,
          .unit = "identity",
          .norm = config.norm == "weight" ? "weight" : "none",
          .linear_layout = true};
}

// Dropout streams: layer i's input is i, the last hidden layer's is the number of layers; its unit,
// where that is random, draws from this one on.
constexpr std::uint32_t kUnitStream = 0x8000;

class Gcnn final : public StackModel {
 public:
  Gcnn(const ModelConfig& config, std::optional<std::uint64_t> seed, DType dtype)
      : StackModel(config, config.layers.back().channels, seed, dtype) {
    std::vector<std::int64_t> widths{config.dim};  // of the embedding, then of each layer's output
    std::uint32_t stream = kStackInitStream;
    for (const LayerSpec& spec : config.layers) {
      Layer layer{GatedConv1d(layer_options(config, widths.back(), spec), dtype, {seed, stream++}),
                  nullptr, -1};
      if (spec.residual > 0) {
        layer.residual = static_cast<std::int64_t>(widths.size()) - spec.residual;
        const std::int64_t width = widths[static_cast<std::size_t>(layer.residual)];
        if (width != spec.channels) {
          layer.projection = std::make_unique<GatedConv1d>(projection_options(config, width, spec),
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
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const std::string prefix = fmt::format("layers.{}.", i);
      layers_[i].conv.collect(parameters_, prefix);
      if (layers_[i].projection)
        layers_[i].projection->collect(parameters_, prefix + "projection.");
    }
  }

  std::optional<std::int64_t> receptive_field() const override {
    std::int64_t field = 1;
    for (const LayerSpec& spec : config_.layers) field += spec.kernel - 1;
    return field;
  }

  std::unique_ptr<FrozenStack> freeze_stack(const FreezeOptions& options) const override {
    std::vector<FrozenGcnnLayer> layers;
    for (const Layer& layer : layers_) {
      layers.push_back({layer.conv.freeze(options), std::nullopt, layer.residual});
      if (layer.projection) layers.back().projection = layer.projection->freeze(options);
    }
    return make_frozen_gcnn(config_.dim, config_.layers.back().channels, std::move(layers));
  }

 private:
  struct Layer {
    GatedConv1d conv;
    std::unique_ptr<GatedConv1d> projection;
    std::int64_t residual;  // index into the layers' inputs, or -1
  };

  Variable stack(const Variable& x, ModelState& state, const ForwardOptions& options) override {
    ModelState next;
    std::vector<Variable> values(layers_.size() + 1);  // inputs of layers, freed after last use
    values[0] = x;
    std::size_t carried = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const Layer& layer = layers_[i];
      CausalConv conv;
      conv.dropout = dropout_for(static_cast<std::uint32_t>(i), options);
      conv.precision = options.precision;
      conv.path = options.conv;
      conv.recompute = options.recompute;
      const RandomKey random{options.seed, kUnitStream + static_cast<std::uint32_t>(i),
                             options.step};
      Tensor context;
      const bool carries = layer.conv.options().kernel > 1;
      if (carries) {
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
          residual = layer.projection->forward(residual, {}, project, false, RandomKey{}, nullptr);
        }
      }
      LayerProbe probe;
      if (options.probe != nullptr) {
        probe = {options.probe, fmt::format("layers.{}", i), config_.unit};
      }
      values[i + 1] = layer.conv.forward(values[i], residual, conv, options.training, random,
                                         carries ? &context : nullptr, probe);
      if (carries) next.tensors.push_back(std::move(context));
      for (std::size_t j = 0; j <= i; ++j) {
        if (last_use_[j] == i) values[j] = Variable();
      }
    }
    state = std::move(next);
    return values.back();
  }

  std::uint32_t output_dropout_stream() const override {
    return static_cast<std::uint32_t>(layers_.size());
  }

  std::vector<Layer> layers_;
  std::vector<std::size_t> last_use_;
};

class GcnnArchitecture final : public Architecture {
 public:
  std::vector<std::string> fields() const override { return {"layers", "unit"}; }

  std::string summary(const ModelConfig& config) const override {
    return fmt::format("{} layers of {}", config.layers.size(), config.unit);
  }

  void validate(const ModelConfig& config) const override {
    const std::vector<LayerSpec>& layers = config.layers;
    if (layers.empty()) refuse_config("there are no layers; give at least one, like '[(512,4)]*8'");
    if (layers.size() > 1000) {
      refuse_config(fmt::format("{} layers are too many; at most 1000 are allowed", layers.size()));
    }
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const LayerSpec& layer = layers[i];
      if (layer.channels < 1 || layer.channels > 65536) {
        refuse_config(
            fmt::format("layer {} has {} channels, expected 1 to 65536", i + 1, layer.channels));
      }
      if (layer.kernel < 1 || layer.kernel > 64) {
        refuse_config(fmt::format("layer {} has a kernel width of {}, expected 1 to 64", i + 1,
                                  layer.kernel));
      }
      if (layer.residual < 0 || layer.residual > static_cast<std::int64_t>(i) + 1) {
        refuse_config(fmt::format("layer {} has residual {}, expected 0 to {}", i + 1,
                                  layer.residual, i + 1));
      }
    }
    for (const LayerSpec& layer : layers) {
      const std::int64_t inputs = UnitLayer(config.unit, layer.channels, DType::f32, {}).inputs();
      if (config.norm == "group" && inputs % config.groups != 0) {
        refuse_config(
            fmt::format("{} groups do not divide the {} channels of a layer's projection; "
                        "change groups or the layers",
                        config.groups, inputs));
      }
    }
  }

  std::int64_t output_width(const ModelConfig& config) const override {
    return config.layers.back().channels;
  }

  std::int64_t parameters(const ModelConfig& config) const override {
    std::int64_t count = 0;
    std::vector<std::int64_t> widths = {config.dim};  // of each layer's input
    for (const LayerSpec& layer : config.layers) {
      count += GatedConv1d::parameter_count(layer_options(config, widths.back(), layer));
      if (layer.residual > 0) {
        const std::int64_t source =
            widths[widths.size() - static_cast<std::size_t>(layer.residual)];
        if (source != layer.channels) {
          count += GatedConv1d::parameter_count(projection_options(config, source, layer));
        }
      }
      widths.push_back(layer.channels);
    }
    return count;
  }

  // Doubles: absurd sizes are what this is for, and they overflow integers.
  StackMemory memory(const ModelConfig& config, bool recompute) const override {
    const UnitSpec unit = parse_unit_spec(config.unit);
    StackMemory need;
    auto inputs = static_cast<double>(config.dim);
    for (const LayerSpec& layer : config.layers) {
      const auto projected = static_cast<double>(unit.inputs(layer.channels));
      if (config.norm == "weight") {
        need.derived += static_cast<double>(layer.kernel) * inputs * projected;
      }
      // Its input after dropout, its projection, once more normalised, its output; and at the peak
      // their gradients.
      const bool apart = !unit.fused() || (config.norm != "weight" && config.norm != "none");
      const double all = inputs + (apart ? 2 : 1) * projected + static_cast<double>(layer.channels);
      need.per_position += recompute ? all - projected : all;
      need.widest = std::max(need.widest, all);
      inputs = static_cast<double>(layer.channels);
    }
    return need;
  }

  void write(nlohmann::json& json, const ModelConfig& config) const override {
    json["layers"] = layers_string(config.layers);
    json["unit"] = config.unit;
  }

  void read(const nlohmann::json& json, ModelConfig& config) const override {
    try {
      config.layers = parse_layers(json_field<std::string>(json, "layers", "a string"));
    } catch (const UsageError& error) {
      // What a file holds is not the request's fault.
      throw Error(fmt::format("model config: {}", error.what()));
    }
    config.unit = json_field<std::string>(json, "unit", "a string");
  }

  std::unique_ptr<LanguageModel> make(const ModelConfig& config, std::optional<std::uint64_t> seed,
                                      DType dtype) const override {
    return std::make_unique<Gcnn>(config, seed, dtype);
  }
};

}  // namespace

const Architecture& gcnn_architecture() {
  static const GcnnArchitecture architecture;
  return architecture;
}

void check_conv_path(const ModelConfig& config, ConvPath path) {
  if (path != ConvPath::fast) return;
  for (const LayerSpec& layer : config.layers) check_fast_kernel(layer.kernel);
}

}  // namespace sluice
