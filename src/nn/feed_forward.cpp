#include "sluice/nn/feed_forward.hpp"

#include <cmath>

#include <fmt/format.h>

#include "sluice/base/error.hpp"

namespace sluice {

std::int64_t shazeer_width(std::int64_t dim, const Unit& unit) {
  // Two thirds of 4·dim in eighths: dim / 3, to the nearest.
  return unit.gated ? std::max<std::int64_t>((2 * dim + 3) / 6, 1) * 8 : 4 * dim;
}

GatedFeedForward::GatedFeedForward(const Options& options, DType dtype, InitKey key)
    : options_(options) {
  if (options.dim < 1 || options.width < 1) {
    throw UsageError(fmt::format(
        "feed-forward: a width of {} around vectors of {} is empty; both must be at least 1",
        options.width, options.dim));
  }
  const std::int64_t m = options.unit.inputs(options.width);
  in_ =
      Variable(kaiming_normal(Shape{m, options.dim}, dtype, options.dim, options.unit, key), true);
  const double deviation = options.output_scale / std::sqrt(static_cast<double>(options.width));
  out_ = Variable(
      normal(Shape{options.dim, options.width}, dtype, deviation, {key.seed, key.stream + 1}),
      true);
  if (!options.bias) return;
  in_bias_ = Variable(Tensor::zeros(Shape{m}, dtype), true);
  out_bias_ = Variable(Tensor::zeros(Shape{options.dim}, dtype), true);
}

Variable GatedFeedForward::forward(const Variable& x, FeedForward call) const {
  const Shape shape = x.shape();
  if (shape.rank() < 2 || shape[-1] != options_.dim) {
    throw Error(
        fmt::format("feed-forward: expected [.., {}], got shape {}", options_.dim, shape.str()));
  }
  call.unit = options_.unit;
  const Variable rows = reshape(x, Shape{shape.elements() / options_.dim, options_.dim});
  return reshape(gated_feed_forward(rows, in_, in_bias_, out_, out_bias_, call), shape);
}

void GatedFeedForward::collect(Parameters& parameters, const std::string& prefix) const {
  parameters.push_back({prefix + "in.weight", in_, {}, {}, true});
  if (options_.bias) parameters.push_back({prefix + "in.bias", in_bias_, {}, {}, false});
  parameters.push_back({prefix + "out.weight", out_, {}, {}, true});
  if (options_.bias) parameters.push_back({prefix + "out.bias", out_bias_, {}, {}, false});
}

}  // namespace sluice
