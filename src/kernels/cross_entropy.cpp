// Softmax cross-entropy for float; for double at the end.
#include "sluice/kernels/cross_entropy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cross_entropy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "softmax-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

void CrossEntropy(const CrossEntropyRows<float>& pass, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  const float* const bias = pass.bias;
  const float gradient_scale = pass.gradient_scale;
  const bool differentiate = gradient_scale != 0.0F;
  for (std::size_t r = 0; r < rows; ++r) {
    float* const row = pass.logits + r * n;
    const auto hit = static_cast<std::size_t>(pass.target[r]);
    const float wanted = bias != nullptr ? row[hit] + bias[hit] : row[hit];
    const float largest =
        bias != nullptr ? LargestBiased(row, bias, differentiate, n) : Largest<false>(row, n);
    const double sum = SumExp<false>(differentiate ? row : nullptr, row,
                                     differentiate ? nullptr : bias, largest, n);
    pass.nll[r] += (largest - wanted) + static_cast<float>(std::log(sum));
    if (!differentiate) continue;
    const auto factor = hn::Set(d, static_cast<float>(static_cast<double>(gradient_scale) / sum));
    ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
      span.Store(hn::Mul(factor, span.Load(d, row + i)), d, row + i);
    });
    row[hit] -= gradient_scale;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(CrossEntropy);

// Σ e^(x + bias - largest), and the largest.
double sum_exp(const double* x, const double* bias, std::size_t n, double* largest) {
  const auto at = [&](std::size_t i) { return bias != nullptr ? x[i] + bias[i] : x[i]; };
  *largest = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < n; ++i) *largest = std::max(*largest, at(i));
  double sum = 0.0;
  for (std::size_t i = 0; i < n; ++i) sum += std::exp(at(i) - *largest);
  return sum;
}

}  // namespace

void softmax_cross_entropy(const CrossEntropyRows<float>& pass, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(CrossEntropy)(pass, rows, n);
}

void softmax_cross_entropy(const CrossEntropyRows<double>& pass, std::size_t rows, std::size_t n) {
  const auto [nll, logits, bias, target, gradient_scale] = pass;
  for (std::size_t r = 0; r < rows; ++r) {
    double* const row = logits + r * n;
    const auto hit = static_cast<std::size_t>(target[r]);
    double largest = 0.0;
    const double sum = sum_exp(row, bias, n, &largest);
    const double wanted = bias != nullptr ? row[hit] + bias[hit] : row[hit];
    nll[r] += (largest - wanted) + std::log(sum);
    if (gradient_scale == 0.0) continue;
    for (std::size_t i = 0; i < n; ++i) {
      const double value = bias != nullptr ? row[i] + bias[i] : row[i];
      row[i] = gradient_scale * (std::exp(value - largest) / sum - (i == hit ? 1.0 : 0.0));
    }
  }
}

}  // namespace sluice::kernels
#endif
