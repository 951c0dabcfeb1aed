// Recurrent language models: a stack of Elman, LSTM, GRU, IndRNN or MUT1 layers between token
// layers.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "field_codecs.hpp"
#include "frozen_recurrent.hpp"
#include "recurrent_export.hpp"
#include "recurrent_import.hpp"
#include "sluice/autograd/dropout.hpp"
#include "sluice/autograd/recurrent.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/models/recurrent.hpp"
#include "sluice/models/stack_model.hpp"
#include "sluice/nn/recurrent.hpp"

namespace sluice {
namespace {

constexpr std::int64_t kMostHidden = 1'000'000'000;
/// Residual IndRNNs of so many layers start with smaller weights: what a layer gives is never
/// negative, so that what they add to their inputs grows with their number. A start at 1/depth of
/// the weights adds as much as one layer does, and 110 and 150 layers learn from the first steps;
/// without, they start at a loss of many times ln V.
constexpr std::int64_t kDeepIndRnn = 24;

const RecurrentShape& recurrent_of(const ModelConfig& config) {
  return config.shape<RecurrentShape>();
}

bool removes(const RecurrentShape& shape, std::string_view gate) {
  return std::find(shape.removed_gates.begin(), shape.removed_gates.end(), gate) !=
         shape.removed_gates.end();
}

RecurrentStackOptions recurrent_options(const ModelConfig& config) {
  const RecurrentShape& shape = recurrent_of(config);
  RecurrentStackOptions stack;
  stack.layers = shape.depth;
  stack.norm = config.norm;
  stack.groups = config.groups;
  stack.residual = shape.residual;
  stack.variational = shape.variational;
  stack.labels = label_count(config);
  RecurrentOptions& layer = stack.layer;
  layer.cell = parse_enum<CellKind>(config.arch());
  layer.input = config.dim;
  layer.hidden = shape.hidden;
  if (layer.cell == CellKind::rnn) layer.nonlinearity = parse_unit(shape.unit);
  layer.forget_bias = static_cast<double>(shape.forget_bias);
  layer.without_input_gate = removes(shape, "input");
  layer.without_forget_gate = removes(shape, "forget");
  layer.without_output_gate = removes(shape, "output");
  layer.reset = shape.reset == "before" ? GruReset::before : GruReset::after;
  layer.recurrent_bound = static_cast<double>(shape.bound);
  return stack;
}

// Dropout streams: the input of layer i is i, the last layer's output the number of layers.
class Recurrent final : public StackModel {
 public:
  Recurrent(const ModelConfig& config, std::optional<std::uint64_t> seed, DType dtype)
      : StackModel(config, seed, dtype),
        stack_(recurrent_options(config), dtype, {seed, kStackInitStream}) {
    stack_.collect(parameters_, "layers.");
  }

  std::optional<std::int64_t> receptive_field() const override { return std::nullopt; }
  void constrain() override { stack_.constrain(); }

  std::unique_ptr<FrozenStack> freeze_stack(const FreezeOptions& options) const override {
    return make_frozen_recurrent(stack_.freeze(options));
  }

 private:
  Variable stack(const Variable& x, ModelState& state, const ForwardOptions& options) override {
    return stack_.forward(drop(x, options.dropout_of(0)), state.tensors, options);
  }

  std::uint32_t output_dropout_stream() const override {
    return static_cast<std::uint32_t>(recurrent_of(config_).depth);
  }

  Variable drop(const Variable& x, const Dropout& dropout) const override {
    return recurrent_of(config_).variational ? dropout_over_time(x, dropout)
                                             : StackModel::drop(x, dropout);
  }

  RecurrentStack stack_;
};

/// The fields of a cell's models.
FieldTable recurrent_fields(CellKind cell) {
  constexpr const char* group = "Recurrent models";
  using Shape = RecurrentShape;
  FieldsOf<Shape> fields;
  fields
      .add("depth", &Shape::depth,
           {.range = between(1, kMostDepth),
            .flag = "--depth",
            .group = group,
            .help = "layers (default: by the size of the text)"})
      .add("hidden", &Shape::hidden,
           {.range = between(1, kMostHidden),
            .flag = "--hidden",
            .group = group,
            .help = "hidden size (default: by the size of the text)"})
      .add("residual", &Shape::residual,
           {.flag = "--residual",
            .group = group,
            .help = "layers add their inputs where widths agree",
            .off_flag = "--no-residual",
            .off_help = "layers do not add their inputs"})
      .add("variational", &Shape::variational,
           {.flag = "--variational",
            .group = group,
            .help = "one dropout mask for all steps of a chunk (Gal & Ghahramani 2016)"});
  switch (cell) {
    case CellKind::rnn:
      fields.add("unit", &Shape::unit, activation_codec(),
                 {.flag = "--unit",
                  .group = group,
                  .help = "the cell's nonlinearity: any activation, like tanh, sigmoid, relu or "
                          "leaky_relu(0.2) (default tanh)"});
      break;
    case CellKind::lstm:
      fields
          .add("forget_bias", &Shape::forget_bias,
               {.flag = "--forget-bias",
                .group = group,
                .help = "what the forget gate's bias starts at (default 1)"})
          .add("removed_gates", &Shape::removed_gates,
               {.flag = "--remove-gates",
                .group = group,
                .help = "gates that are always open, of input, forget and output",
                .one_for_list = true});
      break;
    case CellKind::gru:
      fields.add("reset", &Shape::reset, choice_codec("reset", {"after", "before"}),
                 {.flag = "--reset",
                  .group = group,
                  .value = "WHEN",
                  .help = "whether the reset gate acts before or after the matrix product (default "
                          "after)"});
      break;
    case CellKind::indrnn:
      fields.add(
          "bound", &Shape::bound,
          {.range = above(0),
           .flag = "--bound",
           .group = group,
           .help = "largest recurrent weight in magnitude (default: 2^(-1/--context), at which "
                   "states halve over the context)"});
      break;
    case CellKind::mut1:
      break;
  }
  return fields;
}

class RecurrentArchitecture final : public ArchitectureOf<RecurrentShape> {
 public:
  explicit RecurrentArchitecture(CellKind cell)
      : ArchitectureOf(name_of(cell)), cell_(cell), fields_(recurrent_fields(cell)) {}

  const FieldTable& fields() const override { return fields_; }
  std::vector<std::string> size_fields() const override { return {"depth", "hidden", "dim"}; }
  bool takes_labels() const override { return true; }

  void validate(const ModelConfig& config) const override {
    const RecurrentShape& shape = recurrent_of(config);
    for (const std::string& gate : shape.removed_gates) {
      if (gate != "input" && gate != "forget" && gate != "output") {
        refuse_config(fmt::format(
            "an {} has no gate '{}' to remove, expected input, forget or output", name(), gate));
      }
    }
    check_config_groups(config, shape.hidden, fmt::format("a hidden size of {}", shape.hidden),
                        "hidden");
    check_config_groups(config, config.dim, fmt::format("a first layer's input of {}", config.dim),
                        "dim");
  }

  std::string summary(const ModelConfig& config) const override {
    const RecurrentShape& shape = recurrent_of(config);
    const std::string nonlinearity = cell_ == CellKind::rnn ? fmt::format(" ({})", shape.unit) : "";
    return fmt::format("{} layer{} of {}{}, {} wide", shape.depth, shape.depth == 1 ? "" : "s",
                       name(), nonlinearity, shape.hidden);
  }

  std::int64_t output_width(const ModelConfig& config) const override {
    return recurrent_of(config).hidden;
  }

  std::int64_t parameters(const ModelConfig& config) const override {
    return parameter_count(recurrent_options(config));
  }

  // A layer's step waits for its step before and for the layer below: a diagonal at a time.
  std::optional<SequentialOperations> sequential(const ModelConfig& config,
                                                 std::int64_t length) const override {
    return SequentialOperations{length + recurrent_of(config).depth - 1, length};
  }

  StackMemory memory(const ModelConfig& config, bool /*recompute*/) const override {
    // A layer keeps its input, its activated gates and its states, and at the peak has the gates'
    // gradients besides.
    const double gates = cell_ == CellKind::lstm                             ? 4
                         : cell_ == CellKind::gru || cell_ == CellKind::mut1 ? 3
                                                                             : 1;
    const auto hidden = static_cast<double>(recurrent_of(config).hidden);
    const auto depth = static_cast<double>(recurrent_of(config).depth);
    return {.derived = 0,
            .per_position = depth * (gates + 2) * hidden,
            .widest = (2 * gates + 2) * hidden};
  }

  ModelWidths widths(ModelConfig& config) const override {
    std::int64_t& hidden = config.shape<RecurrentShape>().hidden;
    const std::int64_t step = norm_step(config);
    ModelWidths widths{.together = {{&hidden, step}, {&config.dim, step}},
                       .widest = std::max(hidden, config.dim),
                       .step = step};
    if (!config.tie) widths.apart = ModelWidth{&config.dim, step};
    return widths;
  }

  void choose_size(ModelConfig& config, TextSize size) const override {
    struct Size {
      std::int64_t depth, hidden, dim;
    };
    static constexpr Size sizes[] = {
        {1, 128, 64}, {2, 384, 256}, {2, 512, 256}, {2, 1024, 512}, {2, 2048, 512}};
    const Size& own = sizes[static_cast<std::size_t>(size)];
    auto& shape = config.shape<RecurrentShape>();
    shape.depth = own.depth;
    shape.hidden = own.hidden;
    config.dim = own.dim;
    if (cell_ != CellKind::indrnn) return;
    // Its layers are light, and are made to be stacked (Li et al. 2018).
    constexpr std::int64_t depth_factor = 3;
    shape.depth *= depth_factor;
    shape.residual = true;
  }

  /// What an IndRNN layer gives grows with the steps that its states last, and layers multiply it:
  /// without norms, 16 residual layers start at a loss of 1e3. So the inputs of layers are
  /// normalised unless the user says otherwise, as Li et al. 2018 (section 4.3) do in deep stacks,
  /// and states halve, at least, over the context. (Their bound for T steps from zeros, 2^(1/T),
  /// doubles them; but here states are carried from chunk to chunk, and would double with each.)
  std::string default_norm() const override {
    return cell_ == CellKind::indrnn ? "layer" : ArchitectureOf::default_norm();
  }
  void complete(ModelConfig& config, const ModelTask& task,
                const GivenFields& given) const override {
    if (cell_ != CellKind::indrnn) return;
    auto& shape = config.shape<RecurrentShape>();
    if (!given.contains("bound")) {
      const auto context = static_cast<float>(std::max<std::int64_t>(task.context, 1));
      shape.bound = std::exp2(-1 / context);
    }
    // A whole config, of a run that goes on, says what it has.
    const bool whole = given.contains("vocabulary");
    if (shape.residual && shape.depth >= kDeepIndRnn && !whole && !given.contains("init_scale")) {
      config.init_scale = 1 / static_cast<float>(shape.depth);
    }
  }

  std::unique_ptr<LanguageModel> make(const ModelConfig& config, std::optional<std::uint64_t> seed,
                                      DType dtype) const override {
    return std::make_unique<Recurrent>(config, seed, dtype);
  }

  GraphValue draw(const ModelConfig& config, StackGraph& stack,
                  const GraphValue& x) const override {
    return draw_recurrent(recurrent_options(config), stack, x);
  }
  TorchStack torch_stack(const ModelConfig& config, const Parameters& parameters) const override {
    return torch_recurrent(recurrent_options(config), parameters);
  }
  const ForeignKind* foreign_kind() const override {
    const bool theirs = cell_ == CellKind::rnn || cell_ == CellKind::lstm || cell_ == CellKind::gru;
    return theirs ? &torch_checkpoint() : nullptr;
  }

 private:
  CellKind cell_;
  FieldTable fields_;
};

}  // namespace

std::vector<std::unique_ptr<const Architecture>> recurrent_architectures() {
  std::vector<std::unique_ptr<const Architecture>> all;
  for (const CellKind cell :
       {CellKind::rnn, CellKind::lstm, CellKind::gru, CellKind::indrnn, CellKind::mut1}) {
    all.push_back(std::make_unique<RecurrentArchitecture>(cell));
  }
  return all;
}

}  // namespace sluice
