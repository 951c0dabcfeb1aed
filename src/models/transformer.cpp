// The Transformer language model: causal self-attention over a sliding window and feed-forward
// layers with any unit, pre-norm, between token layers.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "architecture.hpp"
#include "frozen_transformer.hpp"
#include "json_fields.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/nn/transformer.hpp"
#include "stack_model.hpp"

namespace sluice {
namespace {

constexpr std::int64_t kMostWindow = 1'000'000;
constexpr std::int64_t kMostWidth = 1'000'000'000;

TransformerOptions transformer_options(const ModelConfig& config) {
  const TransformerShape& shape = config.transformer;
  return {.dim = config.dim,
          .heads = shape.heads,
          .depth = shape.depth,
          .window = shape.window,
          .positions = parse_positions(shape.positions),
          .ffn = shape.ffn,
          .ffn_width = shape.ffn_width,
          .norm = config.norm,
          .groups = config.groups};
}

// Dropout streams: the stack's from 0 to 2L, its output's behind.
class Transformer final : public StackModel {
 public:
  Transformer(const ModelConfig& config, std::optional<std::uint64_t> seed, DType dtype)
      : StackModel(config, config.dim, seed, dtype),
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
    return stack_.forward(x, state.tensors,
                          {.training = options.training,
                           .dropout = config_.dropout,
                           .seed = options.seed,
                           .step = options.step,
                           .precision = options.precision,
                           .recompute = options.recompute,
                           .probe = options.probe});
  }

  std::uint32_t output_dropout_stream() const override {
    return static_cast<std::uint32_t>(2 * config_.transformer.depth + 1);
  }

  TransformerStack stack_;
};

class TransformerArchitecture final : public Architecture {
 public:
  std::vector<std::string> fields() const override {
    return {"depth", "heads", "window", "positions", "ffn", "ffn_width"};
  }

  std::string summary(const ModelConfig& config) const override {
    const TransformerShape& shape = config.transformer;
    return fmt::format("{} transformer blocks, {} wide, {} head{}, {} {} wide", shape.depth,
                       config.dim, shape.heads, shape.heads == 1 ? "" : "s", shape.ffn,
                       shape.ffn_width);
  }

  void validate(const ModelConfig& config) const override {
    const TransformerShape& shape = config.transformer;
    check_config_range("a depth", shape.depth, 1, kMostDepth);
    check_config_range("a number of heads", shape.heads, 1, config.dim);
    check_config_range("a window", shape.window, 1, kMostWindow);
    check_config_range("a feed-forward width (ffn_width)", shape.ffn_width, 1, kMostWidth);
    if (config.dim % shape.heads != 0) {
      refuse_config(fmt::format("{} heads do not divide a width (dim) of {}; change heads or dim",
                                shape.heads, config.dim));
    }
    const Positions positions = parse_positions(shape.positions);
    if (positions == Positions::rotary && config.dim / shape.heads % 2 != 0) {
      refuse_config(
          fmt::format("rotary positions need an even width per head, got dim {} over {} heads",
                      config.dim, shape.heads));
    }
    parse_unit_spec(shape.ffn);
    if (config.norm == "group" && config.dim % config.groups != 0) {
      refuse_config(fmt::format("{} groups do not divide a width (dim) of {}; change groups or dim",
                                config.groups, config.dim));
    }
  }

  std::int64_t output_width(const ModelConfig& config) const override { return config.dim; }

  std::int64_t parameters(const ModelConfig& config) const override {
    return TransformerStack::parameter_count(transformer_options(config));
  }

  StackMemory memory(const ModelConfig& config, bool recompute) const override {
    const TransformerShape& shape = config.transformer;
    const auto dim = static_cast<double>(config.dim);
    const auto width = static_cast<double>(parse_unit_spec(shape.ffn).inputs(shape.ffn_width));
    // Of a block: two normalised inputs, queries, keys and values, what attention gives, two sums,
    // and the projection of the feed-forward layer.
    const double kept = 8 * dim + (recompute ? 0 : width);
    return {.derived = 0,
            .per_position = static_cast<double>(shape.depth) * kept,
            .widest = 8 * dim + 2 * width};
  }

  void write(nlohmann::json& json, const ModelConfig& config) const override {
    const TransformerShape& shape = config.transformer;
    json["depth"] = shape.depth;
    json["heads"] = shape.heads;
    json["window"] = shape.window;
    json["positions"] = shape.positions;
    json["ffn"] = shape.ffn;
    json["ffn_width"] = shape.ffn_width;
  }

  void read(const nlohmann::json& json, ModelConfig& config) const override {
    TransformerShape& shape = config.transformer;
    config.unit.clear();
    shape.depth = json_integer_field(json, "depth");
    shape.heads = json_integer_field(json, "heads");
    shape.window = json_integer_field(json, "window");
    shape.positions = json_field<std::string>(json, "positions", "a string");
    shape.ffn = json_field<std::string>(json, "ffn", "a string");
    shape.ffn_width = json_integer_field(json, "ffn_width");
  }

  std::unique_ptr<LanguageModel> make(const ModelConfig& config, std::optional<std::uint64_t> seed,
                                      DType dtype) const override {
    return std::make_unique<Transformer>(config, seed, dtype);
  }
};

}  // namespace

const Architecture& transformer_architecture() {
  static const TransformerArchitecture architecture;
  return architecture;
}

}  // namespace sluice
