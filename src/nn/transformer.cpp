#include "sluice/nn/transformer.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include <fmt/format.h>

#include "sluice/autograd/dropout.hpp"
#include "sluice/autograd/residual.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/detail/positions.hpp"

namespace sluice {
namespace {

constexpr double kPositionDeviation = 0.02;
// Random units draw from streams from here on, dropout from those below.
constexpr std::uint32_t kUnitStream = 0x8000;

std::int64_t ffn_width(const TransformerOptions& options) {
  return options.ffn_width > 0 ? options.ffn_width
                               : shazeer_width(options.dim, parse_unit_spec(options.ffn));
}

double output_scale(const TransformerOptions& options) {
  return 1.0 / std::sqrt(2.0 * static_cast<double>(std::max<std::int64_t>(options.depth, 1)));
}

InitKey behind(InitKey key, std::uint32_t streams) { return {key.seed, key.stream + streams}; }

const TransformerOptions& checked(const TransformerOptions& options) {
  if (options.dim < 1 || options.depth < 1 || options.window < 1 || options.ffn_width < 0) {
    throw UsageError(fmt::format(
        "transformer: {} blocks of width {} with a window of {} and feed-forward layers of width "
        "{}: all must be at least 1 (0 for the last chooses it)",
        options.depth, options.dim, options.window, options.ffn_width));
  }
  return options;
}

Norm norm_of(const TransformerOptions& options, DType dtype) {
  return make_causal_norm(options.norm, options.dim, options.groups, dtype);
}

/// What `numbers` holds; nothing where a text starts.
std::span<const std::int32_t> numbers_in(const Tensor& numbers) {
  if (!numbers.defined()) return {};
  return numbers.span<std::int32_t>();
}

void check_batch(const Tensor& numbers, std::int64_t batch) {
  if (!numbers.defined() || numbers.shape() == Shape{batch}) return;
  throw Error(fmt::format("transformer: positions {} carried for a batch of {}",
                          numbers.shape().str(), batch));
}

}  // namespace

TransformerBlock::TransformerBlock(const TransformerOptions& o, DType dtype, InitKey key)
    : attention_norm_(norm_of(o, dtype)),
      attention_({.dim = o.dim,
                  .heads = o.heads,
                  .window = o.window,
                  .positions = o.positions,
                  .bias = o.bias,
                  .output_scale = output_scale(o)},
                 dtype, key),
      attention_condition_(o.labels, o.dim, dtype),
      ffn_norm_(norm_of(o, dtype)),
      ffn_condition_(o.labels, o.dim, dtype),
      ffn_({.dim = o.dim,
            .width = ffn_width(o),
            .unit = o.ffn,
            .bias = o.bias,
            .output_scale = output_scale(o)},
           dtype, behind(key, 2)) {}

Variable TransformerBlock::forward(const Variable& x, Tensor& context,
                                   const ForwardOptions& options, std::uint32_t stream,
                                   const LayerProbe& probe,
                                   std::span<const std::int32_t> visible) const {
  const Variable input =
      attention_condition_.forward(attention_norm_.forward(x, options.training), options.labels);
  const Variable seen = attention_.forward(input, context, options.precision, visible);
  const Variable middle = residual_add(x, seen, options.dropout_of(stream));
  const RandomKey random{options.seed, kUnitStream + stream, options.step};
  const Variable added = ffn_.forward(
      ffn_condition_.forward(ffn_norm_.forward(middle, options.training), options.labels),
      {.precision = options.precision, .recompute = options.recompute}, options.training, random,
      probe);
  return probe.see(ProbePoint::output, residual_add(middle, added, options.dropout_of(stream + 1)));
}

FrozenTransformerBlock TransformerBlock::freeze(const FreezeOptions& options) const {
  return {attention_norm_.frozen(options),
          attention_.freeze(options),
          ffn_norm_.frozen(options),
          ffn_.freeze(options),
          attention_condition_.freeze(options),
          ffn_condition_.freeze(options)};
}

void TransformerBlock::collect(Parameters& parameters, const std::string& prefix) const {
  attention_norm_.collect(parameters, prefix + "attention_norm.");
  attention_.collect(parameters, prefix + "attention.");
  ffn_norm_.collect(parameters, prefix + "ffn_norm.");
  ffn_.collect(parameters, prefix + "ffn.");
  attention_condition_.collect(parameters, prefix + "attention_");
  ffn_condition_.collect(parameters, prefix + "ffn_");
}

TransformerStack::TransformerStack(const TransformerOptions& options, DType dtype, InitKey key)
    : options_(checked(options)), norm_(norm_of(options, dtype)) {
  if (options.positions == Positions::learned) {
    positions_ =
        Variable(normal(Shape{options.window, options.dim}, dtype, kPositionDeviation, key), true);
  }
  key = behind(key, 1);
  for (std::int64_t i = 0; i < options.depth; ++i) {
    blocks_.emplace_back(options, dtype, key);
    key = behind(key, TransformerBlock::kInitStreams);
  }
}

Variable TransformerStack::add_positions(const Variable& x, const Tensor& before,
                                         Tensor& after) const {
  const std::int64_t batch = x.shape()[0], time = x.shape()[1];
  after = Tensor(Shape{batch}, DType::i32);
  std::vector<std::int32_t> index(static_cast<std::size_t>(batch * time));
  kernels::wrapped_positions(index, after.span<std::int32_t>(), numbers_in(before),
                             static_cast<std::int32_t>(options_.window));
  return residual_add(x, reshape(embedding(index, positions_), x.shape()));
}

Tensor TransformerStack::next_visible(const Tensor& before, std::int64_t batch,
                                      std::int64_t time) const {
  Tensor after(Shape{batch}, DType::i32);
  kernels::count_positions(after.span<std::int32_t>(), numbers_in(before), time,
                           static_cast<std::int32_t>(options_.window - 1));
  return after;
}

Variable TransformerStack::forward(const Variable& x, std::vector<Tensor>& state,
                                   const ForwardOptions& options) const {
  if (x.shape().rank() != 3 || x.shape()[2] != options_.dim) {
    throw Error(fmt::format("transformer: expected [B, T, {}], got shape {}", options_.dim,
                            x.shape().str()));
  }
  const bool counts = positions_.defined();
  const bool restarts = !options.starts.empty();
  const std::size_t size = blocks_.size() + (counts ? 1 : 0) + (restarts ? 1 : 0);
  if (!state.empty() && state.size() != size) {
    throw Error(
        fmt::format("transformer: a state of {} tensors given, expected {}", state.size(), size));
  }
  std::vector<Tensor> next = state;
  next.resize(size);
  Variable y = x;
  if (counts) {
    const Tensor before = next[blocks_.size()];
    check_batch(before, x.shape()[0]);
    y = add_positions(y, before, next[blocks_.size()]);
  }
  const Tensor carried = restarts ? next.back() : Tensor();
  check_batch(carried, x.shape()[0]);
  const auto visible = numbers_in(carried);
  if (restarts) next.back() = next_visible(carried, x.shape()[0], x.shape()[1]);
  y = dropout(y, options.dropout_of(0));
  std::uint32_t stream = 1;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    LayerProbe probe;
    if (options.probe != nullptr) {
      probe = {options.probe, fmt::format("blocks.{}", i), options_.ffn};
    }
    y = blocks_[i].forward(y, next[i], options, stream, probe, visible);
    stream += 2;
  }
  state = std::move(next);
  return norm_.forward(y, options.training);
}

FrozenTransformer TransformerStack::freeze(const FreezeOptions& options) const {
  FrozenTransformer stack{
      .positions = frozen_tensor(positions_.value(), options),
      .blocks = {},
      .norm = norm_.frozen(options),
      .layout = {.layers = options_.depth, .width = options_.dim, .window = options_.window}};
  for (const TransformerBlock& block : blocks_) stack.blocks.push_back(block.freeze(options));
  return stack;
}

void TransformerStack::collect(Parameters& parameters, const std::string& prefix) const {
  if (positions_.defined()) {
    parameters.push_back({prefix + "positions.weight", positions_, {}, {}, true});
  }
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i].collect(parameters, fmt::format("{}blocks.{}.", prefix, i));
  }
  norm_.collect(parameters, prefix + "norm.");
}

std::int64_t TransformerStack::parameter_count(const TransformerOptions& options) {
  const std::int64_t d = options.dim;
  const std::int64_t bias = options.bias ? 1 : 0;
  Parameters of_norm;
  norm_of(options, DType::f32).collect(of_norm, "");
  const std::int64_t norm = sluice::parameter_count(of_norm);
  const std::int64_t attention = 4 * d * (d + bias);
  const std::int64_t ffn = GatedFeedForward::parameter_count(
      {.dim = d, .width = ffn_width(options), .unit = options.ffn, .bias = options.bias});
  const std::int64_t positions = options.positions == Positions::learned ? options.window * d : 0;
  const std::int64_t conditions = 2 * Condition::parameter_count(options.labels, d);
  return positions + options.depth * (attention + ffn + 2 * norm + conditions) + norm;
}

}  // namespace sluice
