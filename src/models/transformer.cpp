// The Transformer language model: causal self-attention over a sliding window and feed-forward
// layers with any unit, pre-norm, between token layers.

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "field_codecs.hpp"
#include "frozen_transformer.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/models/stack_model.hpp"
#include "sluice/models/transformer.hpp"
#include "sluice/nn/transformer.hpp"
#include "transformer_export.hpp"

namespace sluice {
namespace {

constexpr std::int64_t kMostWindow = 1'000'000;
constexpr std::int64_t kMostFeedForward = 1'000'000'000;

const TransformerShape& transformer_of(const ModelConfig& config) {
  return config.shape<TransformerShape>();
}

/// Heads of 64 channels, as far as they divide the width.
std::int64_t default_heads(std::int64_t dim) {
  std::int64_t heads = std::max<std::int64_t>(dim / 64, 1);
  while (dim % heads != 0) --heads;
  return heads;
}

TransformerOptions transformer_options(const ModelConfig& config) {
  const TransformerShape& shape = transformer_of(config);
  return {.dim = config.dim,
          .heads = shape.heads,
          .depth = shape.depth,
          .window = shape.window,
          .positions = parse_enum<Positions>(shape.positions),
          .ffn = shape.ffn,
          .ffn_width = shape.ffn_width,
          .norm = config.norm,
          .groups = config.groups,
          .labels = label_count(config)};
}

// Dropout streams: the stack's from 0 to 2L, its output's behind.
class Transformer final : public StackModel {
 public:
  Transformer(const ModelConfig& config, std::optional<std::uint64_t> seed, DType dtype)
      : StackModel(config, seed, dtype),
        stack_(transformer_options(config), dtype, {seed, kStackInitStream}) {
    stack_.collect(parameters_, "");
  }

  std::optional<std::int64_t> receptive_field() const override {
    // Learned positions make a prediction depend on where in the text it stands.
    if (stack_.options().positions == Positions::learned) return std::nullopt;
    return stack_.receptive_field();
  }

  std::unique_ptr<FrozenStack> freeze_stack(const FreezeOptions& options) const override {
    return make_frozen_transformer(stack_.freeze(options));
  }

 private:
  Variable stack(const Variable& x, ModelState& state, const ForwardOptions& options) override {
    return stack_.forward(x, state.tensors, options);
  }

  std::uint32_t output_dropout_stream() const override {
    return static_cast<std::uint32_t>(2 * transformer_of(config_).depth + 1);
  }

  TransformerStack stack_;
};

class TransformerArchitecture final : public ArchitectureOf<TransformerShape> {
 public:
  TransformerArchitecture() : ArchitectureOf("transformer") {}

  std::string default_norm() const override { return "layer"; }
  bool takes_labels() const override { return true; }
  const FieldTable& fields() const override {
    constexpr const char* group = "Transformers";
    using Shape = TransformerShape;
    static const FieldTable table =
        FieldsOf<Shape>()
            .add("depth", &Shape::depth,
                 {.range = between(1, kMostDepth),
                  .flag = "--depth",
                  .group = group,
                  .help = "blocks (default: by the size of the text)"})
            .add("heads", &Shape::heads,
                 {.range = between(1, kMostFeedForward),
                  .flag = "--heads",
                  .group = group,
                  .help = "attention heads (default: of 64 channels)"})
            .add("window", &Shape::window,
                 {.range = between(1, kMostWindow),
                  .flag = "--window",
                  .group = group,
                  .help = "tokens that attention sees, its own position included (default 128)"})
            .add("positions", &Shape::positions,
                 text_codec<std::string>([](const std::string& name) { return name; },
                                         [](const std::string& name) {
                                           parse_enum<Positions>(name);
                                           return name;
                                         },
                                         "a name in quotes", "KIND"),
                 {.flag = "--positions",
                  .group = group,
                  .help = "rotary, learned or none (default rotary)"})
            .add("ffn", &Shape::ffn, unit_codec(),
                 {.flag = "--ffn",
                  .group = group,
                  .help = "unit of the feed-forward layers (default swiglu)"})
            .add("ffn_width", &Shape::ffn_width,
                 {.range = between(1, kMostFeedForward),
                  .flag = "--ffn-width",
                  .group = group,
                  .help = "inner width of the feed-forward layers (default: 4 times --dim, 8/3 for "
                          "a gated unit, so that parameters match)"});
    return table;
  }
  std::vector<std::string> size_fields() const override { return {"depth", "dim", "ffn_width"}; }

  std::string summary(const ModelConfig& config) const override {
    const TransformerShape& shape = transformer_of(config);
    return fmt::format("{} transformer blocks, {} wide, {} head{}, {} {} wide", shape.depth,
                       config.dim, shape.heads, shape.heads == 1 ? "" : "s", shape.ffn,
                       shape.ffn_width);
  }

  void validate(const ModelConfig& config) const override {
    const TransformerShape& shape = transformer_of(config);
    if (config.dim % shape.heads != 0) {
      refuse_config(fmt::format("{} heads do not divide a width (dim) of {}; change heads or dim",
                                shape.heads, config.dim));
    }
    const Positions positions = parse_enum<Positions>(shape.positions);
    if (positions == Positions::rotary && config.dim / shape.heads % 2 != 0) {
      refuse_config(
          fmt::format("rotary positions need an even width per head, got dim {} over {} heads",
                      config.dim, shape.heads));
    }
    check_config_groups(config, config.dim, fmt::format("a width (dim) of {}", config.dim), "dim");
  }

  std::int64_t output_width(const ModelConfig& config) const override { return config.dim; }

  std::int64_t parameters(const ModelConfig& config) const override {
    return TransformerStack::parameter_count(transformer_options(config));
  }

  /// Besides those with parameters, of each block's W queries with keys and W probabilities with
  /// values.
  std::int64_t multiplications(const ModelConfig& config) const override {
    const TransformerShape& shape = transformer_of(config);
    return parameters(without_labels(config)) + 2 * shape.depth * shape.window * config.dim;
  }

  // Attention and feed-forward layer of each block, at all positions at once; a block sees a
  // window.
  std::optional<SequentialOperations> sequential(const ModelConfig& config,
                                                 std::int64_t length) const override {
    const TransformerShape& shape = transformer_of(config);
    const std::int64_t reach = std::max<std::int64_t>(shape.window - 1, 1);
    return SequentialOperations{2 * shape.depth, 2 * ((length - 1 + reach - 1) / reach)};
  }

  StackMemory memory(const ModelConfig& config, bool recompute) const override {
    const TransformerShape& shape = transformer_of(config);
    const auto dim = static_cast<double>(config.dim);
    const auto width = static_cast<double>(parse_unit_spec(shape.ffn).inputs(shape.ffn_width));
    // Of a block: two normalised inputs, queries, keys and values, what attention gives, two sums,
    // and the projection of the feed-forward layer.
    const double kept = 8 * dim + (recompute ? 0 : width);
    return {.derived = 0,
            .per_position = static_cast<double>(shape.depth) * kept,
            .widest = 8 * dim + 2 * width};
  }

  ModelWidths widths(ModelConfig& config) const override {
    auto& shape = config.shape<TransformerShape>();
    const std::int64_t halves = parse_enum<Positions>(shape.positions) == Positions::rotary ? 2 : 1;
    const std::int64_t step = std::lcm(norm_step(config), halves * shape.heads);
    // Units change the feed-forward layers only: their width alone may do.
    return {.together = {{&config.dim, step}, {&shape.ffn_width, 1}},
            .widest = config.dim,
            .step = step,
            .apart = ModelWidth{&shape.ffn_width, 1},
            .apart_first = true};
  }

  void choose_size(ModelConfig& config, TextSize size) const override {
    static constexpr std::pair<std::int64_t, std::int64_t> sizes[] = {
        {2, 64}, {4, 256}, {6, 256}, {6, 512}, {12, 768}};
    const auto& [depth, dim] = sizes[static_cast<std::size_t>(size)];
    config.shape<TransformerShape>().depth = depth;
    config.dim = dim;
  }

  void complete(ModelConfig& config, const ModelTask& /*task*/,
                const GivenFields& given) const override {
    auto& shape = config.shape<TransformerShape>();
    const std::int64_t dim = std::clamp<std::int64_t>(config.dim, 1, kMostFeedForward);
    if (!given.contains("heads")) shape.heads = default_heads(dim);
    if (!given.contains("ffn_width")) {
      shape.ffn_width = shazeer_width(dim, parse_unit_spec(shape.ffn));
    }
  }

  std::unique_ptr<LanguageModel> make(const ModelConfig& config, std::optional<std::uint64_t> seed,
                                      DType dtype) const override {
    return std::make_unique<Transformer>(config, seed, dtype);
  }

  GraphValue draw(const ModelConfig& config, StackGraph& stack,
                  const GraphValue& x) const override {
    return draw_transformer(transformer_options(config), stack, x);
  }
  TorchStack torch_stack(const ModelConfig& config, const Parameters& parameters) const override {
    return torch_transformer(transformer_options(config), parameters);
  }
};

}  // namespace

std::unique_ptr<const Architecture> transformer_architecture() {
  return std::make_unique<TransformerArchitecture>();
}

}  // namespace sluice
