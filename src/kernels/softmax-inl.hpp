// The steps of softmax over one row. Included once per SIMD target.
#if defined(SLUICE_KERNELS_SOFTMAX_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_SOFTMAX_INL_HPP
#undef SLUICE_KERNELS_SOFTMAX_INL_HPP
#else
#define SLUICE_KERNELS_SOFTMAX_INL_HPP
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <limits>

#include "math-inl.hpp"
#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

/// Probabilities below e^kLeast of the largest count as 0: they are nothing beside it, and would
/// become denormals, which are slow, once divided.
inline constexpr float kLeast = -69.0F;

/// Float sums run over this many elements at most, totals in double: a vocabulary's rounding errors
/// must not depend on its size.
inline constexpr std::size_t kBlock = 1024;

/// The largest x, or with kNegate the largest -x; NaN elements aside.
template <bool kNegate>
HWY_INLINE float Largest(const float* x, std::size_t n) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  constexpr float kFirst = std::numeric_limits<float>::infinity();
  const auto first = hn::Set(d, kNegate ? kFirst : -kFirst);
  // The second operand is returned when the first is NaN.
  const auto better = [](auto value, auto best) HWY_ATTR {
    return kNegate ? hn::Min(value, best) : hn::Max(value, best);
  };
  auto best0 = first, best1 = first, best2 = first, best3 = first;
  std::size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    best0 = better(hn::LoadU(d, x + i), best0);
    best1 = better(hn::LoadU(d, x + i + lanes), best1);
    best2 = better(hn::LoadU(d, x + i + 2 * lanes), best2);
    best3 = better(hn::LoadU(d, x + i + 3 * lanes), best3);
  }
  ForEachVector(d, n - i, [&](std::size_t at, auto span) HWY_ATTR {
    best0 = better(span.LoadOr(d, x + i + at, first), best0);
  });
  const auto best = better(better(best0, best1), better(best2, best3));
  return kNegate ? -hn::GetLane(hn::MinOfLanes(d, best)) : hn::GetLane(hn::MaxOfLanes(d, best));
}

/// The largest x + bias, NaN elements aside. With `store`, the sums are written back.
HWY_INLINE float LargestBiased(float* x, const float* bias, bool store, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto least = hn::Set(d, -std::numeric_limits<float>::infinity());
  auto largest = least;
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    const auto value = hn::Add(span.LoadOr(d, x + i, least), span.Load(d, bias + i));
    if (store) span.Store(value, d, x + i);
    largest = hn::Max(value, largest);
  });
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

/// Σ e^(x + bias - largest), bias null or [n]; with kNegate, of -x. The terms go to y unless it is
/// null; it may be x.
template <bool kNegate>
HWY_INLINE double SumExp(float* y, const float* x, const float* bias, float largest,
                         std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto shift = hn::Set(d, kNegate ? -largest : largest);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto least = hn::Set(d, kNegate ? kInfinity : -kInfinity);
  double total = 0.0;
  for (std::size_t begin = 0; begin < n; begin += kBlock) {
    auto sum = hn::Zero(d);
    ForEachVector(d, std::min(kBlock, n - begin), [&](std::size_t at, auto span) HWY_ATTR {
      const std::size_t i = begin + at;
      auto value = span.LoadOr(d, x + i, least);
      if (bias != nullptr) value = hn::Add(value, span.Load(d, bias + i));
      const auto e =
          ExpNonPositive(d, kNegate ? hn::Sub(shift, value) : hn::Sub(value, shift), kLeast);
      if (y != nullptr) span.Store(e, d, y + i);
      sum = hn::Add(sum, e);
    });
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
  return total;
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
