#include "sluice/nn/gated_conv.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "sluice/base/parallel.hpp"

namespace sluice {
namespace {

// Swaps the first and last of three dimensions: [K, C, M] <-> [M, C, K]. In tiles, because both
// sides cannot be read in order.
Tensor swap_outer(const Tensor& x) {
  constexpr std::int64_t kTile = 32;
  const std::int64_t a = x.dim(0), b = x.dim(1), c = x.dim(2);
  Tensor y(Shape{c, b, a}, x.dtype());
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(b, kTile, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t jt = begin; jt < end; jt += kTile) {
        for (std::int64_t it = 0; it < a; it += kTile) {
          for (std::int64_t kt = 0; kt < c; kt += kTile) {
            for (std::int64_t j = jt; j < std::min(jt + kTile, end); ++j) {
              for (std::int64_t i = it; i < std::min(it + kTile, a); ++i) {
                for (std::int64_t k = kt; k < std::min(kt + kTile, c); ++k) {
                  out[(k * b + j) * a + i] = in[(i * b + j) * c + k];
                }
              }
            }
          }
        }
      }
    });
  });
  return y;
}

// ‖v[:, j]‖ of [.., M].
Tensor column_norms(const Tensor& v) {
  const std::int64_t m = v.dim(-1);
  Tensor norms(Shape{m}, v.dtype());
  std::vector<double> sums(static_cast<std::size_t>(m));
  dispatch_float(v.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* row = v.data<T>();
    for (std::int64_t r = 0; r < v.elements() / m; ++r, row += m) {
      for (std::size_t j = 0; j < sums.size(); ++j) {
        sums[j] += static_cast<double>(row[j]) * static_cast<double>(row[j]);
      }
    }
    for (std::size_t j = 0; j < sums.size(); ++j) {
      norms.data<T>()[j] = static_cast<T>(std::sqrt(sums[j]));
    }
  });
  return norms;
}

// The norm between projection and unit.
Norm projection_norm(const GatedConv1d::Options& options, std::int64_t channels, DType dtype) {
  return make_causal_norm(options.norm == "weight" ? "none" : options.norm, channels,
                          options.groups, dtype);
}

}  // namespace

GatedConv1d::GatedConv1d(const Options& options, DType dtype, InitKey key)
    : options_(options),
      unit_(options.unit, options.outputs, dtype, key),
      norm_(projection_norm(options, unit_.inputs(), dtype)) {
  const std::int64_t m = unit_.inputs();
  const auto fan_in = static_cast<double>(options.kernel * options.channels);
  const Tensor v = normal(Shape{options.kernel, options.channels, m}, dtype,
                          unit_.gain() / std::sqrt(fan_in), key);
  v_ = Variable(v, true);
  if (options.norm == "weight") g_ = Variable(column_norms(v), true);
  bias_ = Variable(Tensor::zeros(Shape{m}, dtype), true);
}

std::int64_t GatedConv1d::parameter_count(const Options& options) {
  const UnitSpec unit = parse_unit_spec(options.unit);
  const std::int64_t m = unit.inputs(options.outputs);
  Parameters norm;
  projection_norm(options, m, DType::f32).collect(norm, "");
  const std::int64_t biases_and_gains = options.norm == "weight" ? 2 * m : m;
  return options.kernel * options.channels * m + biases_and_gains + sluice::parameter_count(norm) +
         unit.parameter_count(options.outputs);
}

Variable GatedConv1d::forward(const Variable& x, const Variable& residual, CausalConv conv,
                              bool training, const RandomKey& random, Tensor* next_context,
                              const LayerProbe& probe) const {
  conv.gain = g_;
  const bool apart = probe.wants(ProbePoint::projection) || probe.wants(ProbePoint::unit);
  const bool fused = unit_.fused() && norm_.kind() == NormKind::none && !apart;
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
  const Variable projected = probe.see(
      ProbePoint::projection, reshape(norm_.forward(z, training), Shape{rows, unit_.inputs()}));
  const Variable y =
      reshape(probe.see(ProbePoint::unit, unit_.forward(projected, training, random)),
              Shape{z.shape()[0], z.shape()[1], options_.outputs});
  return probe.see(ProbePoint::output,
                   residual.defined() ? add_scaled(y, scale, residual, scale) : y);
}

FrozenConv GatedConv1d::freeze(const FreezeOptions& options) const {
  const NoGrad no_grad;
  FreezeOptions of_filters = options;
  if (g_.defined()) of_filters.copy = false;  // they are made here
  const Tensor filters = g_.defined() ? weight_norm(v_, g_).value() : v_.value();
  return {PreparedConv(filters, of_filters),
          {frozen_tensor(bias_.value(), options), unit_.frozen(options), norm_.frozen(options)}};
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
  unit_.collect(parameters, prefix + "unit.");
}

}  // namespace sluice
