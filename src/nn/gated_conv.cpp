#include "sluice/nn/gated_conv.hpp"

#include <cmath>

#include "sluice/autograd/arithmetic.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/autograd/weight_norm.hpp"
#include "sluice/tensor/detail/rearrange.hpp"

namespace sluice {
namespace {

// The norm between projection and unit.
Norm projection_norm(const GatedConv1d::Options& options, std::int64_t channels, DType dtype) {
  return make_causal_norm(options.norm == "weight" ? "none" : options.norm, channels,
                          options.groups, dtype);
}

}  // namespace

GatedConv1d::GatedConv1d(const Options& options, DType dtype, InitKey key)
    : options_(options),
      unit_(options.unit, options.outputs, dtype, key),
      norm_(projection_norm(options, unit_.inputs(), dtype)),
      condition_(options.labels, unit_.inputs(), dtype) {
  const std::int64_t m = unit_.inputs();
  const auto fan_in = static_cast<double>(options.kernel * options.channels);
  const Tensor v = normal(Shape{options.kernel, options.channels, m}, dtype,
                          unit_.gain() / std::sqrt(fan_in), key);
  v_ = Variable(v, true);
  if (options.norm == "weight") {
    // Zeros that are about to be loaded have no lengths to look for.
    g_ = Variable(key.seed ? unchanging_gain(v) : Tensor::zeros(Shape{m}, dtype), true);
  }
  bias_ = Variable(Tensor::zeros(Shape{m}, dtype), true);
}

std::int64_t GatedConv1d::parameter_count(const Options& options) {
  const UnitSpec unit = parse_unit_spec(options.unit);
  const std::int64_t m = unit.inputs(options.outputs);
  Parameters norm;
  projection_norm(options, m, DType::f32).collect(norm, "");
  const std::int64_t biases_and_gains = options.norm == "weight" ? 2 * m : m;
  return options.kernel * options.channels * m + biases_and_gains + sluice::parameter_count(norm) +
         Condition::parameter_count(options.labels, m) + unit.parameter_count(options.outputs);
}

Variable GatedConv1d::forward(const Variable& x, const Variable& residual, CausalConv conv,
                              const Pass& pass, Tensor* next_context,
                              const LayerProbe& probe) const {
  conv.gain = g_;
  const bool apart = probe.wants(ProbePoint::projection) || probe.wants(ProbePoint::unit);
  const bool fused =
      unit_.fused() && norm_.kind() == NormKind::none && !condition_.defined() && !apart;
  if (fused) {
    conv.unit = unit_.unit();
    return probe.see(ProbePoint::output,
                     causal_conv_unit(x, v_, bias_, residual, conv, next_context));
  }
  const double scale = conv.scale;
  conv.scale = 1;
  conv.unit = {};
  const Variable z = causal_conv_unit(x, v_, bias_, {}, conv, next_context);
  const std::int64_t rows = z.shape()[0] * z.shape()[1];
  const Variable gates = condition_.forward(norm_.forward(z, pass.training), pass.labels);
  const Variable projected =
      probe.see(ProbePoint::projection, reshape(gates, Shape{rows, unit_.inputs()}));
  const Variable y =
      reshape(probe.see(ProbePoint::unit, unit_.forward(projected, pass.training, pass.random)),
              Shape{z.shape()[0], z.shape()[1], options_.outputs});
  return probe.see(ProbePoint::output,
                   residual.defined() ? add_scaled(y, scale, residual, scale) : y);
}

FrozenConv GatedConv1d::freeze(const FreezeOptions& options) const {
  const NoGrad no_grad;
  const bool made = g_.defined() && !options.shapes_only();
  FreezeOptions of_filters = options;
  if (made) of_filters.copy = false;  // they are made here
  const Tensor filters = made ? weight_norm(v_, g_).value() : v_.value();
  return {PreparedConv(filters, of_filters),
          {frozen_tensor(bias_.value(), options), unit_.frozen(options), norm_.frozen(options)},
          condition_.freeze(options)};
}

void GatedConv1d::collect(Parameters& parameters, const std::string& prefix) const {
  const std::int64_t m = v_.shape()[2], channels = v_.shape()[1];
  const bool linear = options_.linear_layout;
  const bool normalised = options_.norm == "weight";
  const std::string lengths = normalised ? prefix + "weight_g" : "";
  Parameter weight{prefix + (normalised ? "weight_v" : "weight"),
                   v_,
                   [linear](const Tensor& x) {
                     const Tensor file = swap_outer(x);
                     return linear ? file.reshape(Shape{file.dim(0), file.dim(1)}) : file;
                   },
                   [linear](const Tensor& x) {
                     return swap_outer(linear ? x.reshape(Shape{x.dim(0), x.dim(1), 1}) : x);
                   },
                   true,
                   InitRole{options_.outputs, unit_.gain(), lengths},
                   linear ? Shape{m, channels} : Shape{m, channels, v_.shape()[0]}};
  parameters.push_back(std::move(weight));
  if (normalised) {
    const Shape gain = linear ? Shape{m, 1} : Shape{m, 1, 1};
    parameters.push_back({lengths, g_, [gain](const Tensor& x) { return x.reshape(gain); },
                          [m](const Tensor& x) { return x.reshape(Shape{m}); }, false, std::nullopt,
                          gain});
  }
  parameters.push_back({prefix + "bias", bias_, {}, {}, false});
  norm_.collect(parameters, prefix + "norm.");
  condition_.collect(parameters, prefix);
  unit_.collect(parameters, prefix + "unit.");
}

}  // namespace sluice
