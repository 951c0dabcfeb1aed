// Softmax, log-softmax and softmin of rows, for float; for double at the end.
#include <algorithm>
#include <cmath>
#include <limits>

#include "sluice/kernels/softmax.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "softmax.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "softmax-inl.hpp"
#include "stream-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

template <bool kNegate>
void ExpOverSum(float* y, const float* x, std::size_t n, std::size_t ahead) {
  const hn::ScalableTag<float> d;
  const double sum = SumExp<kNegate>(y, x, nullptr, Largest<kNegate>(x, n), n);
  const auto factor = hn::Set(d, static_cast<float>(1.0 / sum));
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    Fetch(x + i, ahead);
    span.Store(hn::Mul(factor, span.Load(d, y + i)), d, y + i);
  });
}

void LogOfSoftmax(float* y, const float* x, std::size_t n, std::size_t ahead, bool stream) {
  const hn::ScalableTag<float> d;
  const float largest = Largest<false>(x, n);
  const double sum = SumExp<false>(nullptr, x, nullptr, largest, n);
  // Two subtractions: the sum of a large maximum and a small logarithm would round.
  const auto shift = hn::Set(d, largest);
  const auto rest = hn::Set(d, static_cast<float>(std::log(sum)));
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    Fetch(x + i, ahead);
    PutAt(d, hn::Sub(hn::Sub(span.Load(d, x + i), shift), rest), y + i, span, stream);
  });
}

void SoftmaxForward(float* y, const float* x, const SoftmaxRows& what) {
  const std::size_t n = what.n;
  const SoftmaxKind kind = what.kind;
  const hn::ScalableTag<float> d;
  const std::size_t ahead = RowsAhead(n, what.traffic);
  const bool stream = what.traffic == Traffic::streamed && kind == SoftmaxKind::log_softmax &&
                      CanStream(d, y, x, n);
  for (std::size_t r = 0; r < what.rows; ++r, x += n, y += n) {
    switch (kind) {
      case SoftmaxKind::softmax:
        ExpOverSum<false>(y, x, n, ahead);
        break;
      case SoftmaxKind::softmin:
        ExpOverSum<true>(y, x, n, ahead);
        break;
      case SoftmaxKind::log_softmax:
        LogOfSoftmax(y, x, n, ahead, stream);
        break;
    }
  }
  if (stream) hwy::FlushStream();
}

// Σ x y, or Σ x where y is null; what lies `ahead` of x is fetched.
double Product(const float* x, const float* y, std::size_t n, std::size_t ahead) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  double total = 0.0;
  for (std::size_t begin = 0; begin < n; begin += kBlock) {
    const std::size_t end = std::min(n, begin + kBlock);
    auto sum0 = hn::Zero(d), sum1 = sum0;
    std::size_t i = begin;
    const auto add = [&](auto sum, std::size_t at, auto span) HWY_ATTR {
      Fetch(x + at, ahead);
      const auto value = span.Load(d, x + at);
      return y != nullptr ? hn::MulAdd(value, span.Load(d, y + at), sum) : hn::Add(value, sum);
    };
    for (; i + 2 * lanes <= end; i += 2 * lanes) {
      sum0 = add(sum0, i, Whole{});
      sum1 = add(sum1, i + lanes, Whole{});
    }
    ForEachVector(d, end - i,
                  [&](std::size_t at, auto span) HWY_ATTR { sum0 = add(sum0, i + at, span); });
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1))));
  }
  return total;
}

void SoftmaxBackward(float* dx, const float* dy, const float* y, const SoftmaxRows& what) {
  const std::size_t n = what.n;
  const hn::ScalableTag<float> d;
  const std::size_t ahead = RowsAhead(n, what.traffic);
  const bool log = what.kind == SoftmaxKind::log_softmax;
  const bool negate = what.kind == SoftmaxKind::softmin;
  for (std::size_t r = 0; r < what.rows; ++r, y += n, dy += n, dx += n) {
    const auto sum = hn::Set(d, static_cast<float>(Product(dy, log ? nullptr : y, n, ahead)));
    if (log) {
      ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
        Fetch(y + i, ahead);
        const auto e = ExpNonPositive(d, span.Load(d, y + i));
        span.Store(hn::NegMulAdd(e, sum, span.Load(d, dy + i)), d, dx + i);
      });
    } else {
      ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
        Fetch(y + i, ahead);
        const auto gradient = span.Load(d, dy + i);
        const auto rest = negate ? hn::Sub(sum, gradient) : hn::Sub(gradient, sum);
        span.Store(hn::Mul(span.Load(d, y + i), rest), d, dx + i);
      });
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(SoftmaxForward);
HWY_EXPORT(SoftmaxBackward);
}  // namespace

void softmax_forward(float* y, const float* x, const SoftmaxRows& what) {
  HWY_DYNAMIC_DISPATCH(SoftmaxForward)(y, x, what);
}

void softmax_forward(double* y, const double* x, const SoftmaxRows& what) {
  const auto [rows, n, kind, traffic] = what;
  const double sign = kind == SoftmaxKind::softmin ? -1.0 : 1.0;
  for (std::size_t r = 0; r < rows; ++r, x += n, y += n) {
    double largest = -std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < n; ++i) largest = std::max(largest, sign * x[i]);
    double sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) sum += std::exp(sign * x[i] - largest);
    const double log_sum = std::log(sum);
    for (std::size_t i = 0; i < n; ++i) {
      const double shifted = sign * x[i] - largest;
      y[i] = kind == SoftmaxKind::log_softmax ? shifted - log_sum : std::exp(shifted) / sum;
    }
  }
}

void softmax_backward(float* dx, const float* dy, const float* y, const SoftmaxRows& what) {
  HWY_DYNAMIC_DISPATCH(SoftmaxBackward)(dx, dy, y, what);
}

void softmax_backward(double* dx, const double* dy, const double* y, const SoftmaxRows& what) {
  const auto [rows, n, kind, traffic] = what;
  const bool log = kind == SoftmaxKind::log_softmax;
  const double sign = kind == SoftmaxKind::softmin ? -1.0 : 1.0;
  for (std::size_t r = 0; r < rows; ++r, y += n, dy += n, dx += n) {
    double sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) sum += log ? dy[i] : dy[i] * y[i];
    for (std::size_t i = 0; i < n; ++i) {
      dx[i] = log ? dy[i] - std::exp(y[i]) * sum : sign * y[i] * (dy[i] - sum);
    }
  }
}

}  // namespace sluice::kernels
#endif
