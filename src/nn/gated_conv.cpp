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

}  // namespace

GatedConv1d::GatedConv1d(const Options& options, DType dtype, InitKey key) : options_(options) {
  const std::int64_t m = options.unit.inputs(options.outputs);
  const Tensor v = kaiming_normal(Shape{options.kernel, options.channels, m}, dtype,
                                  options.kernel * options.channels, options.unit, key);
  v_ = Variable(v, true);
  if (options.weight_norm) g_ = Variable(column_norms(v), true);
  bias_ = Variable(Tensor::zeros(Shape{m}, dtype), true);
}

Variable GatedConv1d::forward(const Variable& x, const Variable& residual, CausalConv conv,
                              Tensor* next_context) const {
  conv.unit = options_.unit;
  conv.kept = kept_;
  conv.gain = g_;
  return causal_conv_unit(x, v_, bias_, residual, conv, next_context);
}

void GatedConv1d::freeze() { kept_ = std::make_shared<KeptFilters>(); }

void GatedConv1d::collect(Parameters& parameters, const std::string& prefix) const {
  const std::int64_t m = v_.shape()[2];
  const bool linear = options_.linear_layout;
  Parameter weight{prefix + (options_.weight_norm ? "weight_v" : "weight"), v_,
                   [linear](const Tensor& x) {
                     const Tensor file = swap_outer(x);
                     return linear ? file.reshape(Shape{file.dim(0), file.dim(1)}) : file;
                   },
                   [linear](const Tensor& x) {
                     return swap_outer(linear ? x.reshape(Shape{x.dim(0), x.dim(1), 1}) : x);
                   },
                   true};
  parameters.push_back(std::move(weight));
  if (options_.weight_norm) {
    const Shape gain = linear ? Shape{m, 1} : Shape{m, 1, 1};
    parameters.push_back({prefix + "weight_g", g_,
                          [gain](const Tensor& x) { return x.reshape(gain); },
                          [m](const Tensor& x) { return x.reshape(Shape{m}); }, false});
  }
  parameters.push_back({prefix + "bias", bias_, {}, {}, false});
}

}  // namespace sluice
