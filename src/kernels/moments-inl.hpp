// Sums over a contiguous span, for the norms. Included once per SIMD target.
#if defined(SLUICE_KERNELS_MOMENTS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_MOMENTS_INL_HPP
#undef SLUICE_KERNELS_MOMENTS_INL_HPP
#else
#define SLUICE_KERNELS_MOMENTS_INL_HPP
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>

#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Float sums run over this many elements at most, totals in double.
inline constexpr std::size_t kSumBlock = 4096;

/// Σ x.
HWY_INLINE double Sum(const float* x, std::size_t n) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  double total = 0.0;
  for (std::size_t begin = 0; begin < n; begin += kSumBlock) {
    const std::size_t end = std::min(n, begin + kSumBlock);
    auto sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
    std::size_t i = begin;
    for (; i + 4 * lanes <= end; i += 4 * lanes) {
      sum0 = hn::Add(sum0, hn::LoadU(d, x + i));
      sum1 = hn::Add(sum1, hn::LoadU(d, x + i + lanes));
      sum2 = hn::Add(sum2, hn::LoadU(d, x + i + 2 * lanes));
      sum3 = hn::Add(sum3, hn::LoadU(d, x + i + 3 * lanes));
    }
    ForEachVector(d, end - i, [&](std::size_t at, auto span) HWY_ATTR {
      sum0 = hn::Add(sum0, span.Load(d, x + i + at));
    });
    const auto sum = hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3));
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
  return total;
}

/// Σ (x - shift) and Σ (x - shift)².
struct Spread {
  double sum = 0.0, squares = 0.0;
};
HWY_INLINE Spread SpreadAbout(const float* x, float shift, std::size_t n) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto about = hn::Set(d, shift);
  Spread total;
  for (std::size_t begin = 0; begin < n; begin += kSumBlock) {
    const std::size_t end = std::min(n, begin + kSumBlock);
    auto sum0 = hn::Zero(d), sum1 = sum0, square0 = sum0, square1 = sum0;
    std::size_t i = begin;
    for (; i + 2 * lanes <= end; i += 2 * lanes) {
      const auto x0 = hn::Sub(hn::LoadU(d, x + i), about);
      const auto x1 = hn::Sub(hn::LoadU(d, x + i + lanes), about);
      sum0 = hn::Add(sum0, x0);
      sum1 = hn::Add(sum1, x1);
      square0 = hn::MulAdd(x0, x0, square0);
      square1 = hn::MulAdd(x1, x1, square1);
    }
    ForEachVector(d, end - i, [&](std::size_t at, auto span) HWY_ATTR {
      const auto x0 = hn::Sub(span.LoadOr(d, x + i + at, about), about);
      sum0 = hn::Add(sum0, x0);
      square0 = hn::MulAdd(x0, x0, square0);
    });
    total.sum += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1))));
    total.squares += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Add(square0, square1))));
  }
  return total;
}

/// Short spans are summed kAbreast at a time: their sums do not wait for each other.
inline constexpr std::size_t kAbreast = 4;

/// add(sums, i, k, span) for each vector i of kAbreast spans k of n elements: what it adds up in
/// sums[k] and sums[k + kAbreast] goes to totals.
template <class Add>
HWY_INLINE void SumAbreast(double* totals, std::size_t n, const Add& add) {
  const hn::ScalableTag<float> d;
  hn::Vec<decltype(d)> sums[2 * kAbreast];
  for (auto& sum : sums) sum = hn::Zero(d);
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    for (std::size_t k = 0; k < kAbreast; ++k) add(sums, i, k, span);
  });
  for (std::size_t k = 0; k < 2 * kAbreast; ++k) {
    totals[k] = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sums[k])));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
