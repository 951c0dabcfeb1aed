#include "sluice/nn/attention.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"

namespace sluice {

namespace {

Attention computed(const CausalSelfAttention::Options& options, Precision precision) {
  return {.heads = options.heads,
          .window = options.window,
          .rotary = options.positions == Positions::rotary,
          .precision = precision};
}

}  // namespace

const EnumNames<Positions>& enum_names(Positions) {
  static const EnumNames<Positions> names(
      "positions",
      {{Positions::none, "none"}, {Positions::rotary, "rotary"}, {Positions::learned, "learned"}});
  return names;
}

CausalSelfAttention::CausalSelfAttention(const Options& options, DType dtype, InitKey key)
    : options_(options) {
  if (options.dim < 1 || options.window < 1) {
    throw UsageError(fmt::format(
        "attention: a window of {} positions of width {} is empty; both must be at least 1",
        options.window, options.dim));
  }
  check_heads("attention", options.dim, options.heads, options.positions == Positions::rotary);
  const std::int64_t d = options.dim;
  const double deviation = 1.0 / std::sqrt(static_cast<double>(d));
  qkv_ = Variable(normal(Shape{3 * d, d}, dtype, deviation, key), true);
  out_ = Variable(
      normal(Shape{d, d}, dtype, options.output_scale * deviation, {key.seed, key.stream + 1}),
      true);
  if (!options.bias) return;
  qkv_bias_ = Variable(Tensor::zeros(Shape{3 * d}, dtype), true);
  out_bias_ = Variable(Tensor::zeros(Shape{d}, dtype), true);
}

Variable CausalSelfAttention::forward(const Variable& x, Tensor& context, Precision precision,
                                      std::span<const std::int32_t> visible) const {
  const Shape shape = x.shape();
  const std::int64_t d = options_.dim;
  if (shape.rank() != 3 || shape[2] != d) {
    throw Error(fmt::format("attention: expected [B, T, {}], got shape {}", d, shape.str()));
  }
  const std::int64_t rows = shape[0] * shape[1];
  const Variable qkv = reshape(linear(reshape(x, Shape{rows, d}), qkv_, qkv_bias_, precision),
                               Shape{shape[0], shape[1], 3 * d});
  const Variable seen = causal_self_attention(qkv, context, computed(options_, precision), visible);
  context = next_attention_context(qkv.value(), context, options_.window);
  return reshape(linear(reshape(seen, Shape{rows, d}), out_, out_bias_, precision), shape);
}

FrozenAttention CausalSelfAttention::freeze(const FreezeOptions& options) const {
  return {.qkv = {qkv_.value(), WeightLayout::outputs_by_inputs, options},
          .qkv_bias = frozen_tensor(qkv_bias_.value(), options),
          .out = {out_.value(), WeightLayout::outputs_by_inputs, options},
          .out_bias = frozen_tensor(out_bias_.value(), options),
          .how = computed(options_, product_precision(options.precision))};
}

void CausalSelfAttention::collect(Parameters& parameters, const std::string& prefix) const {
  const InitRole square{.rows = options_.dim};  // queries', keys' and values' weights by themselves
  parameters.push_back({prefix + "qkv.weight", qkv_, {}, {}, true, square});
  if (options_.bias) parameters.push_back({prefix + "qkv.bias", qkv_bias_, {}, {}, false});
  parameters.push_back({prefix + "out.weight", out_, {}, {}, true, square});
  if (options_.bias) parameters.push_back({prefix + "out.bias", out_bias_, {}, {}, false});
}

}  // namespace sluice
