// Softmax and cross-entropy for float; for double at the end.
#include "sluice/kernels/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "softmax.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "softmax-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

void LogSoftmax(float* logits, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  for (std::size_t r = 0; r < rows; ++r) {
    float* const row = logits + r * n;
    const float largest = Largest<false>(row, n);
    const auto log_sum =
        static_cast<float>(std::log(SumExp<false>(nullptr, row, nullptr, largest, n)));
    // Two subtractions: the sum of a large maximum and a small logarithm would round.
    const auto shift = hn::Set(d, largest);
    const auto rest = hn::Set(d, log_sum);
    ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
      const auto value = hn::Sub(span.Load(d, row + i), shift);
      span.Store(hn::Sub(value, rest), d, row + i);
    });
  }
}

void CrossEntropy(float* nll, float* logits, const float* bias, const std::int32_t* target,
                  float gradient_scale, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  const bool differentiate = gradient_scale != 0.0F;
  for (std::size_t r = 0; r < rows; ++r) {
    float* const row = logits + r * n;
    const auto hit = static_cast<std::size_t>(target[r]);
    const float wanted = bias != nullptr ? row[hit] + bias[hit] : row[hit];
    const float largest =
        bias != nullptr ? LargestBiased(row, bias, differentiate, n) : Largest<false>(row, n);
    const double sum = SumExp<false>(differentiate ? row : nullptr, row,
                                     differentiate ? nullptr : bias, largest, n);
    nll[r] += (largest - wanted) + static_cast<float>(std::log(sum));
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
HWY_EXPORT(LogSoftmax);
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

void log_softmax(float* logits, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(LogSoftmax)(logits, rows, n);
}

void log_softmax(double* logits, std::size_t rows, std::size_t n) {
  for (std::size_t r = 0; r < rows; ++r) {
    double* const row = logits + r * n;
    double largest = 0.0;
    const double log_sum = std::log(sum_exp(row, nullptr, n, &largest));
    for (std::size_t i = 0; i < n; ++i) row[i] = (row[i] - largest) - log_sum;
  }
}

void softmax_cross_entropy(float* nll, float* logits, const float* bias, const std::int32_t* target,
                           float gradient_scale, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(CrossEntropy)(nll, logits, bias, target, gradient_scale, rows, n);
}

void softmax_cross_entropy(double* nll, double* logits, const double* bias,
                           const std::int32_t* target, double gradient_scale, std::size_t rows,
                           std::size_t n) {
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
