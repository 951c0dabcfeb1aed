#include "sluice/nn/feed_forward.hpp"

#include <cmath>

#include <fmt/format.h>

#include "sluice/autograd/dropout.hpp"
#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"

namespace sluice {

std::int64_t shazeer_width(std::int64_t dim, const UnitSpec& unit) {
  const std::int64_t inputs = unit.inputs(1);
  if (inputs == 1) return 4 * dim;
  // 2 / (inputs + 1) of 4·dim in eighths, to the nearest.
  return std::max<std::int64_t>((2 * dim + inputs + 1) / (2 * (inputs + 1)), 1) * 8;
}

namespace {

const GatedFeedForward::Options& checked(const GatedFeedForward::Options& options) {
  if (options.dim < 1 || options.width < 1) {
    throw UsageError(fmt::format(
        "feed-forward: a width of {} around vectors of {} is empty; both must be at least 1",
        options.width, options.dim));
  }
  return options;
}

}  // namespace

GatedFeedForward::GatedFeedForward(const Options& options, DType dtype, InitKey key)
    : options_(checked(options)), unit_(options.unit, options.width, dtype, key) {
  const std::int64_t m = unit_.inputs();
  const double into = unit_.gain() / std::sqrt(static_cast<double>(options.dim));
  in_ = Variable(normal(Shape{m, options.dim}, dtype, into, key), true);
  const double deviation = options.output_scale / std::sqrt(static_cast<double>(options.width));
  out_ = Variable(
      normal(Shape{options.dim, options.width}, dtype, deviation, {key.seed, key.stream + 1}),
      true);
  if (!options.bias) return;
  in_bias_ = Variable(Tensor::zeros(Shape{m}, dtype), true);
  out_bias_ = Variable(Tensor::zeros(Shape{options.dim}, dtype), true);
}

std::int64_t GatedFeedForward::parameter_count(const Options& options) {
  const UnitSpec unit = parse_unit_spec(options.unit);
  const std::int64_t bias = options.bias ? 1 : 0;
  return unit.inputs(options.width) * (options.dim + bias) + options.dim * (options.width + bias) +
         unit.parameter_count(options.width);
}

Variable GatedFeedForward::forward(const Variable& x, FeedForward call, bool training,
                                   const RandomKey& random, const LayerProbe& probe) const {
  const Shape shape = x.shape();
  if (shape.rank() < 2 || shape[-1] != options_.dim) {
    throw Error(
        fmt::format("feed-forward: expected [.., {}], got shape {}", options_.dim, shape.str()));
  }
  const Variable rows = reshape(x, Shape{shape.elements() / options_.dim, options_.dim});
  const bool apart = probe.wants(ProbePoint::projection) || probe.wants(ProbePoint::unit);
  if (!unit_.fused() || apart) {
    const Variable z =
        probe.see(ProbePoint::projection, linear(rows, in_, in_bias_, call.precision));
    const Variable given = probe.see(ProbePoint::unit, unit_.forward(z, training, random));
    const Variable h = dropout(given, call.dropout);
    return reshape(linear(h, out_, out_bias_, call.precision), shape);
  }
  call.unit = unit_.unit();
  return reshape(gated_feed_forward(rows, in_, in_bias_, out_, out_bias_, call), shape);
}

FrozenFeedForward GatedFeedForward::freeze(const FreezeOptions& options) const {
  return {.weights = {.in = {in_.value(), WeightLayout::outputs_by_inputs, options},
                      .in_bias = frozen_tensor(in_bias_.value(), options),
                      .out = {out_.value(), WeightLayout::outputs_by_inputs, options},
                      .out_bias = frozen_tensor(out_bias_.value(), options)},
          .unit = unit_.frozen(options)};
}

void GatedFeedForward::collect(Parameters& parameters, const std::string& prefix) const {
  const InitRole into{.rows = options_.width, .gain = unit_.gain()};
  parameters.push_back({prefix + "in.weight", in_, {}, {}, true, into});
  if (options_.bias) parameters.push_back({prefix + "in.bias", in_bias_, {}, {}, false});
  const InitRole back{.rows = options_.dim};
  parameters.push_back({prefix + "out.weight", out_, {}, {}, true, back});
  if (options_.bias) parameters.push_back({prefix + "out.bias", out_bias_, {}, {}, false});
  unit_.collect(parameters, prefix + "unit.");
}

}  // namespace sluice
