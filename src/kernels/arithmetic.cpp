// Sums, products and e^x: float, then double.
#include "sluice/kernels/arithmetic.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "reduce.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "arithmetic.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "math-inl.hpp"
#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

void Exponential(float* y, const float* x, std::size_t n) {
  const hn::ScalableTag<float> d;
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    span.Store(Exp(d, span.Load(d, x + i)), d, y + i);
  });
}

void ScaleInto(float* y, const float* x, float a, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, a);
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    span.Store(hn::Mul(factor, span.Load(d, x + i)), d, y + i);
  });
}

void AddScaled(float* y, const float* x, float a, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, a);
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    const auto sum = hn::MulAdd(factor, span.Load(d, x + i), span.Load(d, y + i));
    span.Store(sum, d, y + i);
  });
}

void AddConstant(float* y, const float* x, float a, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto constant = hn::Set(d, a);
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    span.Store(hn::Add(span.Load(d, x + i), constant), d, y + i);
  });
}

/// 0 when all are finite, else NaN: 0 times an infinity is NaN.
float ZeroTimes(const float* x, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto zero = hn::Zero(d);
  auto sum = hn::Zero(d);
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    sum = hn::MulAdd(zero, span.Load(d, x + i), sum);
  });
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

void Clamp(float* x, float bound, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto most = hn::Set(d, bound);
  const auto least = hn::Set(d, -bound);
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    const auto value = span.Load(d, x + i);
    // Comparisons, which NaN fails, so that it stays.
    const auto below = hn::IfThenElse(hn::Gt(value, most), most, value);
    span.Store(hn::IfThenElse(hn::Lt(value, least), least, below), d, x + i);
  });
}

// Four rows at a time: a quarter of the traffic in `out`, and a quarter of its roundings.
void ColumnSums(float* out, const float* x, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  std::size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float* const at = x + r * n;
    ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
      const auto first = hn::Add(span.Load(d, at + i), span.Load(d, at + n + i));
      const auto second = hn::Add(span.Load(d, at + 2 * n + i), span.Load(d, at + 3 * n + i));
      span.Store(hn::Add(span.Load(d, out + i), hn::Add(first, second)), d, out + i);
    });
  }
  for (; r < rows; ++r) AddScaled(out, x + r * n, 1.0F, n);
}

// Element i goes to partial sum i mod kSquareSums, whatever the vector's length: each SIMD target
// gives the same bits (squares of floats are exact in double). A pass over a block, which lies in
// the first-level cache, serves as many partial sums as four vectors hold.
void SquareSums(double* sums, const float* x, std::size_t n) {
  const hn::CappedTag<double, 8> d;
  const hn::Rebind<float, decltype(d)> df;
  const std::size_t lanes = hn::Lanes(d);
  constexpr std::size_t kBlock = 128 * kSquareSums;
  const auto square = [&](auto sum, const float* p) HWY_ATTR {
    const auto value = hn::PromoteTo(d, hn::LoadU(df, p));
    return hn::MulAdd(value, value, sum);
  };
  for (std::size_t begin = 0; begin < n; begin += kBlock) {
    const std::size_t end = std::min(n, begin + kBlock);
    for (std::size_t k = 0; k < kSquareSums; k += 4 * lanes) {
      auto s0 = hn::LoadU(d, sums + k);
      auto s1 = hn::LoadU(d, sums + k + lanes);
      auto s2 = hn::LoadU(d, sums + k + 2 * lanes);
      auto s3 = hn::LoadU(d, sums + k + 3 * lanes);
      for (std::size_t i = begin + k; i + kSquareSums <= end + k; i += kSquareSums) {
        s0 = square(s0, x + i);
        s1 = square(s1, x + i + lanes);
        s2 = square(s2, x + i + 2 * lanes);
        s3 = square(s3, x + i + 3 * lanes);
      }
      hn::StoreU(s0, d, sums + k);
      hn::StoreU(s1, d, sums + k + lanes);
      hn::StoreU(s2, d, sums + k + 2 * lanes);
      hn::StoreU(s3, d, sums + k + 3 * lanes);
    }
  }
  const std::size_t done = n - n % kSquareSums;
  for (std::size_t i = done; i < n; ++i) {
    sums[i - done] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(Exponential);
HWY_EXPORT(ScaleInto);
HWY_EXPORT(AddScaled);
HWY_EXPORT(AddConstant);
HWY_EXPORT(Clamp);
HWY_EXPORT(ZeroTimes);
HWY_EXPORT(ColumnSums);
HWY_EXPORT(SquareSums);
}  // namespace

void exponential(float* y, const float* x, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(Exponential)(y, x, n);
}

void scale_into(float* y, const float* x, float a, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(ScaleInto)(y, x, a, n);
}

void add_scaled(float* y, const float* x, float a, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(AddScaled)(y, x, a, n);
}

void add_constant(float* y, const float* x, float a, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(AddConstant)(y, x, a, n);
}

void clamp(float* x, float bound, std::size_t n) { HWY_DYNAMIC_DISPATCH(Clamp)(x, bound, n); }

bool all_finite(const float* x, std::size_t n) {
  return HWY_DYNAMIC_DISPATCH(ZeroTimes)(x, n) == 0;
}

void column_sums(float* out, const float* x, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(ColumnSums)(out, x, rows, n);
}

double sum_of_squares(const float* x, std::size_t n) {
  std::array<double, kSquareSums> sums{};
  HWY_DYNAMIC_DISPATCH(SquareSums)(sums.data(), x, n);
  return total(sums);
}

void exponential(double* y, const double* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = std::exp(x[i]);
}

void scale_into(double* y, const double* x, double a, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = a * x[i];
}

void add_scaled(double* y, const double* x, double a, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] += a * x[i];
}

void add_constant(double* y, const double* x, double a, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i] + a;
}

void clamp(double* x, double bound, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] = std::clamp(x[i], -bound, bound);
}

double inner_product(const double* x, const double* y, std::size_t n) {
  // Several sums, so that the additions overlap.
  constexpr std::size_t kSums = 8;
  std::array<double, kSums> sums{};
  std::size_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (std::size_t k = 0; k < kSums; ++k) sums[k] += x[i + k] * y[i + k];
  }
  for (; i < n; ++i) sums[0] += x[i] * y[i];
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

bool all_finite(const double* x, std::size_t n) {
  return std::all_of(x, x + n, [](double each) { return std::isfinite(each); });
}

void column_sums(double* out, const double* x, std::size_t rows, std::size_t n) {
  for (std::size_t r = 0; r < rows; ++r) add_scaled(out, x + r * n, 1.0, n);
}

double sum_of_squares(const double* x, std::size_t n) {
  std::array<double, kSquareSums> sums{};
  for (std::size_t i = 0; i < n; ++i) sums[i % kSquareSums] += x[i] * x[i];
  return total(sums);
}

}  // namespace sluice::kernels
#endif
