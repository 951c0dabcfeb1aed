#include "support/ngram_architecture.hpp"

#include <memory>
#include <string>

#include "sluice/models/architecture.hpp"
#include "sluice/models/stack_model.hpp"
#include "sluice/nn/gated_conv.hpp"

namespace sluice::test {
namespace {

const NgramShape& shape_of(const ModelConfig& config) { return config.shape<NgramShape>(); }

GatedConv1d::Options layer_options(const ModelConfig& config) {
  return {.channels = config.dim,
          .outputs = shape_of(config).hidden,
          .kernel = shape_of(config).order,
          .unit = "tanh",
          .norm = config.norm,
          .groups = config.groups};
}

class Ngram final : public StackModel {
 public:
  Ngram(const ModelConfig& config, std::optional<std::uint64_t> seed, DType dtype)
      : StackModel(config, seed, dtype),
        layer_(layer_options(config), dtype, {seed, kStackInitStream}) {
    layer_.collect(parameters_, "layer.");
  }

  std::optional<std::int64_t> receptive_field() const override { return shape_of(config_).order; }

 private:
  Variable stack(const Variable& x, ModelState& state, const ForwardOptions& options) override {
    CausalConv conv;
    conv.dropout = options.dropout_of(0);
    conv.precision = options.precision;
    conv.path = options.conv;
    conv.recompute = options.recompute;
    if (!state.tensors.empty()) conv.context = state.tensors.front();
    Tensor next;
    LayerProbe probe;
    if (options.probe != nullptr) probe = {options.probe, "layer", "tanh"};
    Variable y = layer_.forward(x, {}, conv, {.training = options.training}, &next, probe);
    state.tensors = {next};
    return y;
  }

  std::uint32_t output_dropout_stream() const override { return 1; }

  GatedConv1d layer_;
};

class NgramArchitecture final : public ArchitectureOf<NgramShape> {
 public:
  NgramArchitecture() : ArchitectureOf("ngram") {}

  const FieldTable& fields() const override {
    static const FieldTable table =
        FieldsOf<NgramShape>()
            .add("order", &NgramShape::order,
                 {.range = between(2, 64),
                  .flag = "--order",
                  .group = "N-grams",
                  .help = "tokens that a prediction reads (default 4)"})
            .add("hidden", &NgramShape::hidden,
                 {.range = between(1, kMostWidth),
                  .flag = "--hidden",
                  .group = "N-grams",
                  .help = "width of the layer (default: by the size of the text)"});
    return table;
  }
  std::vector<std::string> size_fields() const override { return {"hidden", "order", "dim"}; }

  void validate(const ModelConfig& config) const override {
    check_config_groups(config, shape_of(config).hidden, "the hidden size", "hidden");
  }
  void check_conv_path(const ModelConfig& config, ConvPath path) const override {
    if (path == ConvPath::fast) check_fast_kernel(shape_of(config).order);
  }
  std::string summary(const ModelConfig& config) const override {
    return "n-grams of " + std::to_string(shape_of(config).order) + " tokens, " +
           std::to_string(shape_of(config).hidden) + " wide";
  }

  std::int64_t output_width(const ModelConfig& config) const override {
    return shape_of(config).hidden;
  }
  std::int64_t parameters(const ModelConfig& config) const override {
    return GatedConv1d::parameter_count(layer_options(config));
  }
  StackMemory memory(const ModelConfig& config, bool recompute) const override {
    const auto dim = static_cast<double>(config.dim);
    const auto hidden = static_cast<double>(shape_of(config).hidden);
    // The layer's input after dropout, its projection and its output.
    return {.per_position = dim + (recompute ? 1 : 2) * hidden, .widest = dim + 2 * hidden};
  }

  ModelWidths widths(ModelConfig& config) const override {
    auto& shape = config.shape<NgramShape>();
    const std::int64_t step = norm_step(config);
    ModelWidths widths{.together = {{&shape.hidden, step}, {&config.dim, 1}},
                       .widest = shape.hidden,
                       .step = step};
    if (!config.tie) widths.apart = ModelWidth{&config.dim, 1};
    return widths;
  }

  void choose_size(ModelConfig& config, TextSize size) const override {
    static constexpr std::int64_t hidden[] = {128, 256, 512, 1024, 2048};
    config.shape<NgramShape>().hidden = hidden[static_cast<std::size_t>(size)];
    config.dim = config.shape<NgramShape>().hidden / 4;
  }
  void complete(ModelConfig& config, const ModelTask& /*task*/,
                const GivenFields& given) const override {
    const std::int64_t hidden = shape_of(config).hidden;
    if (given.contains("hidden") && !given.contains("dim"))
      config.dim = config.tie ? hidden : hidden / 4;
  }

  std::unique_ptr<LanguageModel> make(const ModelConfig& config, std::optional<std::uint64_t> seed,
                                      DType dtype) const override {
    return std::make_unique<Ngram>(config, seed, dtype);
  }
};

[[maybe_unused]] const Architecture& ngram =
    register_architecture(std::make_unique<NgramArchitecture>());

}  // namespace
}  // namespace sluice::test
