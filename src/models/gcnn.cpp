// The gated convolutional language model (Dauphin et al. 2017): a stack of weight-normalised causal
// gated convolutions with residual connections, between token layers.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "field_codecs.hpp"
#include "frozen_gcnn.hpp"
#include "gcnn_export.hpp"
#include "gcnn_import.hpp"
#include "gcnn_presets.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/stack_model.hpp"
#include "sluice/nn/gated_conv.hpp"
#include "sluice/nn/unit_layer.hpp"

namespace sluice {
namespace {

/// Weight normalisation (Salimans & Kingma 2016), which is of the weights, not of what they give.
constexpr const char* kWeightNorm = "weight";

const GcnnShape& gcnn_of(const ModelConfig& config) { return config.shape<GcnnShape>(); }

GatedConv1d::Options layer_options(const ModelConfig& config, std::int64_t channels,
                                   const LayerSpec& spec) {
  return {.channels = channels,
          .outputs = spec.channels,
          .kernel = spec.kernel,
          .unit = gcnn_of(config).unit,
          .norm = config.norm,
          .groups = config.groups,
          .labels = label_count(config)};
}

/// What brings an input or a residual of another width to the layer's.
GatedConv1d::Options projection_options(const ModelConfig& config, std::int64_t channels,
                                        const LayerSpec& spec) {
  return {.channels = channels,
          .outputs = spec.channels,
          .kernel = 1,
          .unit = "identity",
          .norm = config.norm == kWeightNorm ? kWeightNorm : "none",
          .linear_layout = true};
}

/// Channels of the first layer's input.
std::int64_t first_width(const ModelConfig& config) {
  const GcnnShape& shape = gcnn_of(config);
  return shape.input_projection ? shape.layers.front().channels : config.dim;
}

// Dropout streams: layer i's input is i, the last hidden layer's is the number of layers; its unit,
// where that is random, draws from this one on, and so does what is in front of the layers.
constexpr std::uint32_t kUnitStream = 0x8000;
constexpr std::uint32_t kInputStream = 0x7FFF;

class Gcnn final : public StackModel {
 public:
  Gcnn(const ModelConfig& config, std::optional<std::uint64_t> seed, DType dtype)
      : StackModel(config, seed, dtype) {
    // Of the first layer's input, then of each layer's output.
    std::vector<std::int64_t> widths{first_width(config)};
    std::uint32_t stream = kStackInitStream;
    if (gcnn_of(config).input_projection) {
      input_ = std::make_unique<GatedConv1d>(
          projection_options(config, config.dim, gcnn_of(config).layers.front()), dtype,
          InitKey{seed, kStackInitStream - 1});
      input_->collect(parameters_, "input.");
    }
    for (const LayerSpec& spec : gcnn_of(config).layers) {
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
    for (const LayerSpec& spec : gcnn_of(config_).layers) field += spec.kernel - 1;
    return field;
  }

  std::unique_ptr<FrozenStack> freeze_stack(const FreezeOptions& options) const override {
    std::vector<FrozenGcnnLayer> layers;
    for (const Layer& layer : layers_) {
      layers.push_back({layer.conv.freeze(options), std::nullopt, layer.residual});
      if (layer.projection) layers.back().projection = layer.projection->freeze(options);
    }
    std::optional<FrozenConv> input;
    if (input_) input = input_->freeze(options);
    return make_frozen_gcnn({config_.dim, gcnn_of(config_).layers.back().channels},
                            std::move(input), std::move(layers));
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
    if (input_) {
      CausalConv project;
      project.dropout = options.dropout_of(kInputStream);
      project.precision = options.precision;
      values[0] = input_->forward(x, {}, project, {}, nullptr);
    }
    std::size_t carried = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const Layer& layer = layers_[i];
      CausalConv conv;
      conv.dropout = options.dropout_of(static_cast<std::uint32_t>(i));
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
          residual = layer.projection->forward(residual, {}, project, {}, nullptr);
        }
      }
      LayerProbe probe;
      if (options.probe != nullptr) {
        probe = {options.probe, fmt::format("layers.{}", i), gcnn_of(config_).unit};
      }
      values[i + 1] =
          layer.conv.forward(values[i], residual, conv, {options.training, random, options.labels},
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

  std::unique_ptr<GatedConv1d> input_;  // in front of the layers, if there is one
  std::vector<Layer> layers_;
  std::vector<std::size_t> last_use_;
};

class GcnnArchitecture final : public ArchitectureOf<GcnnShape> {
 public:
  GcnnArchitecture() : ArchitectureOf("gcnn") {}

  const FieldTable& fields() const override {
    using Layers = std::vector<LayerSpec>;
    static const FieldTable table =
        FieldsOf<GcnnShape>()
            .add(
                "layers", &GcnnShape::layers,
                text_codec<Layers>(
                    layers_string, [](const std::string& spec) { return parse_layers(spec); },
                    "a layer spec in quotes", "SPEC"),
                {.flag = "--layers",
                 .group = "Model",
                 .help = "layers as (channels, kernel[, residual]) joined by + and repeated by *N, "
                         "like '[(512,4)]*8' (default: by the size of the text)"})
            .add("unit", &GcnnShape::unit, unit_codec(),
                 {.flag = "--unit",
                  .group = "Model",
                  .help = fmt::format("{}, or F(a)*b or a*F(b) with any activation F (default glu)",
                                      fmt::join(model_unit_names(), ", "))})
            .add("input_projection", &GcnnShape::input_projection,
                 {.flag = "--input-projection",
                  .group = "Model",
                  .help = "a linear projection from the embedding to the first layer, as fairseq's "
                          "models have it"})
            .only_if([](const GcnnShape& shape) { return shape.input_projection; });
    return table;
  }
  std::vector<std::string> size_fields() const override { return {"layers", "dim"}; }
  bool takes_labels() const override { return true; }

  std::vector<std::string> norms() const override {
    std::vector<std::string> norms = Architecture::norms();
    norms.emplace_back(kWeightNorm);
    return norms;
  }
  std::string default_norm() const override { return kWeightNorm; }

  void validate(const ModelConfig& config) const override {
    const GcnnShape& shape = gcnn_of(config);
    for (const LayerSpec& layer : shape.layers) {
      const std::int64_t inputs = parse_unit_spec(shape.unit).inputs(layer.channels);
      check_config_groups(config, inputs,
                          fmt::format("the {} channels of a layer's projection", inputs),
                          "the layers");
    }
  }

  void check_conv_path(const ModelConfig& config, ConvPath path) const override {
    if (path != ConvPath::fast) return;
    for (const LayerSpec& layer : gcnn_of(config).layers) check_fast_kernel(layer.kernel);
  }

  std::string summary(const ModelConfig& config) const override {
    const std::size_t layers = gcnn_of(config).layers.size();
    return fmt::format("{} layer{} of {}", layers, layers == 1 ? "" : "s", gcnn_of(config).unit);
  }

  std::int64_t output_width(const ModelConfig& config) const override {
    return gcnn_of(config).layers.back().channels;
  }

  std::int64_t parameters(const ModelConfig& config) const override {
    std::int64_t count = 0;
    std::vector<std::int64_t> widths = {first_width(config)};  // of each layer's input
    if (gcnn_of(config).input_projection) {
      count += GatedConv1d::parameter_count(
          projection_options(config, config.dim, gcnn_of(config).layers.front()));
    }
    for (const LayerSpec& layer : gcnn_of(config).layers) {
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

  // Layer after layer, each at all positions at once. A stack like this one sees further by being
  // repeated.
  std::optional<SequentialOperations> sequential(const ModelConfig& config,
                                                 std::int64_t length) const override {
    const std::vector<LayerSpec>& layers = gcnn_of(config).layers;
    const auto depth = static_cast<std::int64_t>(layers.size());
    std::int64_t reach = 0;
    for (const LayerSpec& layer : layers) reach += layer.kernel - 1;
    SequentialOperations operations{depth, depth};
    if (reach > 0) {
      const std::int64_t whole = (length - 1) / reach;
      operations.depending = whole * depth;
      std::int64_t left = (length - 1) % reach;
      for (std::size_t i = 0; left > 0; ++i) {
        left -= layers[i].kernel - 1;
        ++operations.depending;
      }
    }
    return operations;
  }

  // Doubles: absurd sizes are what this is for, and they overflow integers.
  StackMemory memory(const ModelConfig& config, bool recompute) const override {
    const UnitSpec unit = parse_unit_spec(gcnn_of(config).unit);
    StackMemory need;
    auto inputs = static_cast<double>(first_width(config));
    if (gcnn_of(config).input_projection) {
      need.derived += static_cast<double>(config.dim) * inputs;
      need.per_position += static_cast<double>(config.dim) + inputs;
    }
    for (const LayerSpec& layer : gcnn_of(config).layers) {
      const auto projected = static_cast<double>(unit.inputs(layer.channels));
      if (config.norm == kWeightNorm) {
        need.derived += static_cast<double>(layer.kernel) * inputs * projected;
      }
      // Its input after dropout, its projection, once more normalised, its output; and at the peak
      // their gradients.
      const bool apart = !unit.fused() || !config.labels.empty() ||
                         (config.norm != kWeightNorm && config.norm != "none");
      const double all = inputs + (apart ? 2 : 1) * projected + static_cast<double>(layer.channels);
      need.per_position += recompute ? all - projected : all;
      need.widest = std::max(need.widest, all);
      inputs = static_cast<double>(layer.channels);
    }
    return need;
  }

  ModelWidths widths(ModelConfig& config) const override {
    ModelWidths widths{.step = norm_step(config)};
    for (LayerSpec& layer : config.shape<GcnnShape>().layers) {
      widths.together.push_back({&layer.channels, widths.step});
      widths.widest = std::max(widths.widest, layer.channels);
    }
    widths.together.push_back({&config.dim, 1});
    if (!config.tie) widths.apart = ModelWidth{&config.dim, widths.step};
    return widths;
  }

  void choose_size(ModelConfig& config, TextSize size) const override {
    static constexpr std::pair<const char*, std::int64_t> sizes[] = {{"[(64,4)]*4", 64},
                                                                     {"[(256,4)]*5", 256},
                                                                     {"[(256,4)]*8", 256},
                                                                     {"[(512,4)]*8", 512},
                                                                     {"[(900,4)]*8", 512}};
    const auto& [layers, dim] = sizes[static_cast<std::size_t>(size)];
    config.shape<GcnnShape>().layers = parse_layers(layers);
    config.dim = dim;
  }

  void complete(ModelConfig& config, const ModelTask& /*task*/,
                const GivenFields& given) const override {
    if (given.contains("layers") && !given.contains("dim") && !given.contains("preset")) {
      config.dim = gcnn_of(config).layers.front().channels;
    }
  }

  std::vector<Preset> presets() const override { return gcnn_presets(); }

  std::unique_ptr<LanguageModel> make(const ModelConfig& config, std::optional<std::uint64_t> seed,
                                      DType dtype) const override {
    return std::make_unique<Gcnn>(config, seed, dtype);
  }

  GraphValue draw(const ModelConfig& config, StackGraph& stack,
                  const GraphValue& x) const override {
    return draw_gcnn(config, stack, x);
  }
  TorchStack torch_stack(const ModelConfig& config, const Parameters& parameters) const override {
    return torch_gcnn(config, parameters);
  }
  const ForeignKind* foreign_kind() const override { return &fairseq_checkpoint(); }
};

}  // namespace

std::unique_ptr<const Architecture> gcnn_architecture() {
  return std::make_unique<GcnnArchitecture>();
}

}  // namespace sluice
