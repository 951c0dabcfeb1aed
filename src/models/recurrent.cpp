// Recurrent language models: a stack of Elman, LSTM, GRU, IndRNN or MUT1 layers between token
// layers.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "architecture.hpp"
#include "frozen_recurrent.hpp"
#include "json_fields.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/nn/recurrent.hpp"
#include "stack_model.hpp"

namespace sluice {
namespace {

constexpr std::int64_t kMostHidden = 1'000'000'000;

bool removes(const RecurrentShape& shape, std::string_view gate) {
  return std::find(shape.removed_gates.begin(), shape.removed_gates.end(), gate) !=
         shape.removed_gates.end();
}

RecurrentStackOptions recurrent_options(const ModelConfig& config) {
  const RecurrentShape& shape = config.recurrent;
  RecurrentStackOptions stack;
  stack.layers = shape.depth;
  stack.norm = config.norm;
  stack.groups = config.groups;
  stack.residual = shape.residual;
  RecurrentOptions& layer = stack.layer;
  layer.cell = parse_cell(config.arch);
  layer.input = config.dim;
  layer.hidden = shape.hidden;
  if (layer.cell == CellKind::rnn) layer.nonlinearity = parse_activation(config.unit);
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
      : StackModel(config, config.recurrent.hidden, seed, dtype),
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
    return stack_.forward(drop(x, 0, options), state.tensors,
                          {.precision = options.precision,
                           .dropout = dropout_for(0, options),
                           .variational = config_.recurrent.variational,
                           .training = options.training,
                           .probe = options.probe});
  }

  std::uint32_t output_dropout_stream() const override {
    return static_cast<std::uint32_t>(config_.recurrent.depth);
  }

  RecurrentStack stack_;
};

class RecurrentArchitecture final : public Architecture {
 public:
  explicit RecurrentArchitecture(CellKind cell) : cell_(cell) {}

  std::vector<std::string> fields() const override {
    std::vector<std::string> fields = {"depth", "hidden", "residual", "variational"};
    switch (cell_) {
      case CellKind::rnn:
        fields.emplace_back("unit");
        break;
      case CellKind::lstm:
        fields.insert(fields.end(), {"forget_bias", "removed_gates"});
        break;
      case CellKind::gru:
        fields.emplace_back("reset");
        break;
      case CellKind::indrnn:
        fields.emplace_back("bound");
        break;
      case CellKind::mut1:
        break;
    }
    return fields;
  }

  std::string summary(const ModelConfig& config) const override {
    const std::string nonlinearity =
        cell_ == CellKind::rnn ? fmt::format(" ({})", config.unit) : "";
    return fmt::format("{} layer{} of {}{}, {} wide", config.recurrent.depth,
                       config.recurrent.depth == 1 ? "" : "s", config.arch, nonlinearity,
                       config.recurrent.hidden);
  }

  void validate(const ModelConfig& config) const override {
    const RecurrentShape& shape = config.recurrent;
    check_config_range("a depth", shape.depth, 1, kMostDepth);
    check_config_range("a hidden size", shape.hidden, 1, kMostHidden);
    if (cell_ == CellKind::rnn && config.unit != "tanh" && config.unit != "relu") {
      refuse_config(
          fmt::format("a cell of rnn takes tanh or relu for its unit, got '{}'", config.unit));
    }
    for (const std::string& gate : shape.removed_gates) {
      if (gate != "input" && gate != "forget" && gate != "output") {
        refuse_config(fmt::format(
            "an lstm has no gate '{}' to remove, expected input, forget or output", gate));
      }
    }
    if (shape.reset != "after" && shape.reset != "before") {
      refuse_config(fmt::format("unknown reset '{}', expected 'after' or 'before'", shape.reset));
    }
    if (!(shape.bound > 0)) {
      refuse_config(fmt::format("a bound of {}, expected more than 0", shape.bound));
    }
    if (!std::isfinite(shape.forget_bias)) {
      refuse_config(fmt::format("a forget_bias of {}, expected a number", shape.forget_bias));
    }
    if (config.norm == "group" && shape.hidden % config.groups != 0) {
      refuse_config(
          fmt::format("{} groups do not divide a hidden size of {}; change groups or hidden",
                      config.groups, shape.hidden));
    }
  }

  std::int64_t output_width(const ModelConfig& config) const override {
    return config.recurrent.hidden;
  }

  std::int64_t parameters(const ModelConfig& config) const override {
    return parameter_count(recurrent_options(config));
  }

  StackMemory memory(const ModelConfig& config, bool /*recompute*/) const override {
    // A layer keeps its input, its activated gates and its states, and at the peak has the gates'
    // gradients besides.
    const double gates = cell_ == CellKind::lstm                             ? 4
                         : cell_ == CellKind::gru || cell_ == CellKind::mut1 ? 3
                                                                             : 1;
    const auto hidden = static_cast<double>(config.recurrent.hidden);
    const auto depth = static_cast<double>(config.recurrent.depth);
    return {.derived = 0,
            .per_position = depth * (gates + 2) * hidden,
            .widest = (2 * gates + 2) * hidden};
  }

  void write(nlohmann::json& json, const ModelConfig& config) const override {
    const RecurrentShape& shape = config.recurrent;
    json["depth"] = shape.depth;
    json["hidden"] = shape.hidden;
    json["residual"] = shape.residual;
    json["variational"] = shape.variational;
    switch (cell_) {
      case CellKind::rnn:
        json["unit"] = config.unit;
        break;
      case CellKind::lstm:
        json["forget_bias"] = json_float(shape.forget_bias);
        json["removed_gates"] = shape.removed_gates;
        break;
      case CellKind::gru:
        json["reset"] = shape.reset;
        break;
      case CellKind::indrnn:
        json["bound"] = json_float(shape.bound);
        break;
      case CellKind::mut1:
        break;
    }
  }

  void read(const nlohmann::json& json, ModelConfig& config) const override {
    RecurrentShape& shape = config.recurrent;
    config.unit.clear();
    shape.depth = json_integer_field(json, "depth");
    shape.hidden = json_integer_field(json, "hidden");
    shape.residual = json_field<bool>(json, "residual", "true or false");
    shape.variational = json_field<bool>(json, "variational", "true or false");
    switch (cell_) {
      case CellKind::rnn:
        config.unit = json_field<std::string>(json, "unit", "a string");
        break;
      case CellKind::lstm:
        shape.forget_bias = json_field<float>(json, "forget_bias", "a number");
        shape.removed_gates =
            json_field<std::vector<std::string>>(json, "removed_gates", "a list of strings");
        break;
      case CellKind::gru:
        shape.reset = json_field<std::string>(json, "reset", "a string");
        break;
      case CellKind::indrnn:
        shape.bound = json_field<float>(json, "bound", "a number");
        break;
      case CellKind::mut1:
        break;
    }
  }

  std::unique_ptr<LanguageModel> make(const ModelConfig& config, std::optional<std::uint64_t> seed,
                                      DType dtype) const override {
    return std::make_unique<Recurrent>(config, seed, dtype);
  }

 private:
  CellKind cell_;
};

}  // namespace

const Architecture* find_recurrent_architecture(std::string_view name) {
  static const RecurrentArchitecture all[] = {
      RecurrentArchitecture(CellKind::rnn), RecurrentArchitecture(CellKind::lstm),
      RecurrentArchitecture(CellKind::gru), RecurrentArchitecture(CellKind::indrnn),
      RecurrentArchitecture(CellKind::mut1)};
  static_assert(std::size(all) == 5);
  for (std::size_t i = 0; i < std::size(all); ++i) {
    if (cell_name(static_cast<CellKind>(i)) == name) return &all[i];
  }
  return nullptr;
}

}  // namespace sluice
