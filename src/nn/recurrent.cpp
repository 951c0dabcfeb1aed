#include "sluice/nn/recurrent.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "sluice/autograd/arithmetic.hpp"
#include "sluice/autograd/dropout.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/prepared_cell.hpp"

namespace sluice {
namespace {

LstmGates gates_of(const RecurrentOptions& o) {
  return {!o.without_input_gate, !o.without_forget_gate, !o.without_output_gate};
}

// Shapes of a layer's parameters; a rank of 0 where there is none.
struct Shapes {
  Shape weight_ih, weight_hh, bias_ih, bias_hh;
};

Shapes shapes_of(const RecurrentOptions& o) {
  const std::int64_t c = o.input, h = o.hidden;
  const auto uniform = [&](std::int64_t blocks) {
    return Shapes{Shape{blocks * h, c}, Shape{blocks * h, h}, Shape{blocks * h}, {}};
  };
  switch (o.cell) {
    case CellKind::lstm:
      return uniform(gates_of(o).blocks());
    case CellKind::gru: {
      Shapes shapes = uniform(3);
      if (o.reset == GruReset::after) shapes.bias_hh = shapes.bias_ih;
      return shapes;
    }
    case CellKind::mut1:
      return {Shape{(c == h ? 2 : 3) * h, c}, Shape{2 * h, h}, Shape{3 * h}, {}};
    case CellKind::indrnn:
      return {Shape{h, c}, Shape{h}, Shape{h}, {}};
    case CellKind::rnn:
      break;
  }
  return uniform(1);
}

/// Of the nonlinearity that a layer's products feed, where it has but one.
double gain_of(const RecurrentOptions& o) {
  if (o.cell == CellKind::rnn) return unit_gain(o.nonlinearity);
  return o.cell == CellKind::indrnn ? calculate_gain("relu") : 1;
}

void check(const RecurrentOptions& o) {
  const std::string& name = name_of(o.cell);
  if (o.input < 1 || o.hidden < 1) {
    throw UsageError(fmt::format("{} layer: sizes must be at least 1, got {} to {} channels", name,
                                 o.input, o.hidden));
  }
  if (o.cell == CellKind::rnn && o.nonlinearity.gated) {
    throw UsageError(fmt::format("rnn layer: the nonlinearity must be an activation, got {}",
                                 unit_name(o.nonlinearity)));
  }
  if (o.cell != CellKind::indrnn) return;
  if (!(o.recurrent_bound >= 0)) {
    throw UsageError(
        fmt::format("indrnn layer: the bound on recurrent weights must be 0 (none) or more, got {}",
                    o.recurrent_bound));
  }
}

// Names the random numbers of parameter `part` of a layer.
InitKey part_of(InitKey key, std::uint32_t part) {
  key.part = 1 + part;
  return key;
}

Tensor initial_bias(const RecurrentOptions& o, Shape shape, DType dtype, InitKey key) {
  Tensor bias = Tensor::zeros(shape, dtype);
  if (o.cell != CellKind::lstm || o.without_forget_gate || !key.seed) return bias;
  const std::int64_t first = o.without_input_gate ? 0 : o.hidden;
  const Shape block{o.hidden};
  bias.rows(first, first + o.hidden).copy_from(constant(block, dtype, o.forget_bias));
  return bias;
}

}  // namespace

const EnumNames<CellKind>& enum_names(CellKind) {
  static const EnumNames<CellKind> names("recurrent cell", {{CellKind::rnn, "rnn"},
                                                            {CellKind::lstm, "lstm"},
                                                            {CellKind::gru, "gru"},
                                                            {CellKind::indrnn, "indrnn"},
                                                            {CellKind::mut1, "mut1"}});
  return names;
}

std::int64_t parameter_count(const RecurrentOptions& options) {
  check(options);
  const Shapes shapes = shapes_of(options);
  std::int64_t count = 0;
  for (const Shape& shape : {shapes.weight_ih, shapes.weight_hh, shapes.bias_ih, shapes.bias_hh}) {
    if (shape.rank() > 0) count += shape.elements();
  }
  return count;
}

RecurrentLayer::RecurrentLayer(const RecurrentOptions& options, DType dtype, InitKey key)
    : options_(options) {
  check(options);
  const Shapes shapes = shapes_of(options);
  const double bound = 1 / std::sqrt(static_cast<double>(options.hidden));
  Tensor weight_ih, weight_hh;
  if (options.cell == CellKind::indrnn) {
    const double most = options.recurrent_bound > 0 ? options.recurrent_bound : 1;
    weight_ih =
        normal(shapes.weight_ih, dtype, std::sqrt(2 / static_cast<double>(options.input)), key);
    weight_hh = uniform(shapes.weight_hh, dtype, 0, most, part_of(key, 1));
  } else {
    weight_ih = uniform(shapes.weight_ih, dtype, -bound, bound, part_of(key, 0));
    weight_hh = uniform(shapes.weight_hh, dtype, -bound, bound, part_of(key, 1));
  }
  weights_.weight_ih = Variable(weight_ih, true);
  weights_.weight_hh = Variable(weight_hh, true);
  weights_.bias_ih = Variable(initial_bias(options, shapes.bias_ih, dtype, key), true);
  if (shapes.bias_hh.rank() > 0) {
    weights_.bias_hh = Variable(Tensor::zeros(shapes.bias_hh, dtype), true);
  }
}

Variable RecurrentLayer::forward(const Variable& x, std::vector<Tensor>& state,
                                 Precision precision) const {
  if (!state.empty() && state.size() != state_count()) {
    throw Error(fmt::format("{} layer: the state must hold {} tensors or none, got {}",
                            name_of(options_.cell), state_count(), state.size()));
  }
  state.resize(state_count());
  switch (options_.cell) {
    case CellKind::lstm:
      return lstm_layer(x, weights_, gates_of(options_), state[0], state[1], precision);
    case CellKind::gru:
      return gru_layer(x, weights_, options_.reset, state[0], precision);
    case CellKind::mut1:
      return mut1_layer(x, weights_, state[0], precision);
    case CellKind::indrnn:
      return indrnn_layer(x, weights_, state[0], precision);
    case CellKind::rnn:
      break;
  }
  return rnn_layer(x, weights_, options_.nonlinearity, state[0], precision);
}

std::shared_ptr<const PreparedCell> RecurrentLayer::freeze(const FreezeOptions& options) const {
  const CellWeights weights{weights_.weight_ih.value(), weights_.weight_hh.value(),
                            weights_.bias_ih.value(), weights_.bias_hh.value()};
  switch (options_.cell) {
    case CellKind::lstm:
      return prepare_lstm(weights, gates_of(options_), options);
    case CellKind::gru:
      return prepare_gru(weights, options_.reset, options);
    case CellKind::mut1:
      return prepare_mut1(weights, options);
    case CellKind::indrnn:
      return prepare_indrnn(weights, options);
    case CellKind::rnn:
      break;
  }
  return prepare_rnn(weights, options_.nonlinearity, options);
}

void RecurrentLayer::constrain() const {
  if (options_.cell != CellKind::indrnn || options_.recurrent_bound == 0) return;
  clamp_in_place(weights_.weight_hh.value(), options_.recurrent_bound);
}

void RecurrentLayer::collect(Parameters& parameters, const std::string& prefix) const {
  const InitRole gate{.rows = options_.hidden, .gain = gain_of(options_)};
  parameters.push_back({prefix + "weight_ih", weights_.weight_ih, {}, {}, true, gate});
  // The vector u is a weight too, but decaying it would shorten an IndRNN's memory.
  if (options_.cell == CellKind::indrnn) {
    parameters.push_back({prefix + "weight_hh", weights_.weight_hh, {}, {}, false});
  } else {
    parameters.push_back({prefix + "weight_hh", weights_.weight_hh, {}, {}, true, gate});
  }
  parameters.push_back({prefix + "bias_ih", weights_.bias_ih, {}, {}, false});
  if (weights_.bias_hh.defined()) {
    parameters.push_back({prefix + "bias_hh", weights_.bias_hh, {}, {}, false});
  }
}

RecurrentOptions layer_options(const RecurrentStackOptions& options, std::int64_t index) {
  RecurrentOptions layer = options.layer;
  if (index > 0) layer.input = layer.hidden;
  return layer;
}

std::int64_t parameter_count(const RecurrentStackOptions& options) {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < options.layers; ++i) {
    const RecurrentOptions layer = layer_options(options, i);
    Parameters norm;
    make_causal_norm(options.norm, layer.input, options.groups).collect(norm, "");
    count += parameter_count(layer) + parameter_count(norm) +
             Condition::parameter_count(options.labels, layer.input);
  }
  return count;
}

RecurrentStack::RecurrentStack(const RecurrentStackOptions& options, DType dtype, InitKey key)
    : options_(options) {
  if (options.layers < 1) {
    throw UsageError(
        fmt::format("a recurrent stack needs at least one layer, got {}", options.layers));
  }
  for (std::int64_t i = 0; i < options.layers; ++i) {
    const InitKey own{key.seed, key.stream + static_cast<std::uint32_t>(i)};
    const RecurrentOptions layer = layer_options(options, i);
    layers_.emplace_back(layer, dtype, own);
    norms_.push_back(make_causal_norm(options.norm, layer.input, options.groups, dtype));
    conditions_.emplace_back(options.labels, layer.input, dtype);
  }
}

std::size_t RecurrentStack::state_count() const {
  return layers_.size() * layers_.front().state_count();
}

Variable RecurrentStack::forward(const Variable& x, std::vector<Tensor>& state,
                                 const ForwardOptions& options) const {
  if (!state.empty() && state.size() != state_count()) {
    throw Error(
        fmt::format("a stack of {} {} layers: the state must hold {} tensors or none, got {}",
                    layers_.size(), name_of(options_.layer.cell), state_count(), state.size()));
  }
  state.resize(state_count());
  const std::size_t each = layers_.front().state_count();
  Variable y = x;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Variable input = norms_[i].forward(y, options.training);
    if (i > 0) {
      const Dropout drop = options.dropout_of(static_cast<std::uint32_t>(i));
      input = options_.variational ? dropout_over_time(input, drop) : dropout(input, drop);
    }
    input = conditions_[i].forward(input, options.labels);
    const auto first = state.begin() + static_cast<std::ptrdiff_t>(i * each);
    std::vector<Tensor> own(first, first + static_cast<std::ptrdiff_t>(each));
    LayerProbe probe;
    if (options.probe != nullptr) {
      probe = {options.probe, fmt::format("layers.{}", i), name_of(options_.layer.cell)};
    }
    const Tensor before = own.front();
    Variable out = layers_[i].forward(input, own, options.precision);
    if (probe.wants(ProbePoint::gate)) {
      for (const auto& [name, gate] : layers_[i].gates(input, before, out)) {
        probe.see(ProbePoint::gate, gate, name);
      }
    }
    out = probe.see(ProbePoint::unit, out);
    y = options_.residual && out.shape() == y.shape() ? add_scaled(out, 1, y, 1) : out;
    y = probe.see(ProbePoint::output, y);
    std::move(own.begin(), own.end(), first);
  }
  return y;
}

FrozenRecurrent RecurrentStack::freeze(const FreezeOptions& options) const {
  FrozenRecurrent stack;
  stack.residual = options_.residual;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    stack.layers.push_back(
        {norms_[i].frozen(options), layers_[i].freeze(options), conditions_[i].freeze(options)});
  }
  return stack;
}

void RecurrentStack::constrain() const {
  for (const RecurrentLayer& layer : layers_) layer.constrain();
}

void RecurrentStack::collect(Parameters& parameters, const std::string& prefix) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].collect(parameters, fmt::format("{}{}.", prefix, i));
    norms_[i].collect(parameters, fmt::format("{}{}.norm.", prefix, i));
    conditions_[i].collect(parameters, fmt::format("{}{}.", prefix, i));
  }
}

}  // namespace sluice
