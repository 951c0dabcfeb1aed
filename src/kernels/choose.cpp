// block_peaks and block_weights.
#include "sluice/kernels/detail/choose.hpp"

#include <algorithm>
#include <limits>

#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "choose.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

bool BlockPeaks(float* peaks, const float* x, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto least = hn::Set(d, -std::numeric_limits<float>::infinity());
  auto odd = hn::FirstN(d, 0);
  for (std::size_t begin = 0; begin < n; begin += kChoiceBlock) {
    auto best = least;
    ForEachVector(d, std::min(kChoiceBlock, n - begin), [&](std::size_t i, auto span) HWY_ATTR {
      const auto value = span.LoadOr(d, x + begin + i, least);
      odd = hn::Or(odd, hn::IsNaN(value));
      // The second operand is returned when the first is NaN.
      best = hn::Max(value, best);
    });
    // EMU128's MaxOfLanes takes the lowest finite number where all are -Inf.
    peaks[begin / kChoiceBlock] = hn::AllTrue(d, hn::Eq(best, least))
                                      ? -std::numeric_limits<float>::infinity()
                                      : hn::GetLane(hn::MaxOfLanes(d, best));
  }
  return !hn::AllFalse(d, odd);
}

/// e^x for x <= 0 by k = round(x / ln 2) and the series of e^r, |r| <= ln 2 / 2, to the eleventh
/// power: what is left out is below 1e-14. 0 below -700.
template <class D>
HWY_INLINE hn::Vec<D> ExpOfNonPositive(D d, hn::Vec<D> x) {
  const auto least = hn::Set(d, -700.0);
  const auto at = hn::Max(x, least);
  // Added to a double it leaves the nearest integer in the low bits.
  const auto magic = hn::Set(d, 0x1.8p52);
  const auto shifted = hn::MulAdd(at, hn::Set(d, 1.4426950408889634074), magic);
  const auto k = hn::Sub(shifted, magic);
  auto r = hn::NegMulAdd(k, hn::Set(d, 0x1.62e42fee00000p-1), at);
  r = hn::NegMulAdd(k, hn::Set(d, 0x1.a39ef35793c76p-33), r);
  constexpr double kSeries[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                                1.0 / 5040,     1.0 / 720,     1.0 / 120,    1.0 / 24,
                                1.0 / 6,        0.5,           1.0,          1.0};
  auto sum = hn::Set(d, kSeries[0]);
  for (std::size_t i = 1; i < sizeof kSeries / sizeof kSeries[0]; ++i) {
    sum = hn::MulAdd(sum, r, hn::Set(d, kSeries[i]));
  }
  const hn::RebindToSigned<D> di;
  const auto power = hn::BitCast(
      d, hn::ShiftLeft<52>(hn::Add(hn::BitCast(di, shifted), hn::Set(di, std::int64_t{1023}))));
  return hn::IfThenElseZero(hn::Ge(x, least), hn::Mul(sum, power));
}

void BlockWeights(double* sums, const float* x, std::size_t n, double peak, double scale) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> df;
  const auto top = hn::Set(d, peak);
  const auto by = hn::Set(d, scale);
  const auto least = hn::Set(df, -std::numeric_limits<float>::infinity());
  for (std::size_t begin = 0; begin < n; begin += kChoiceBlock) {
    auto sum = hn::Zero(d);
    ForEachVector(df, std::min(kChoiceBlock, n - begin), [&](std::size_t i, auto span) HWY_ATTR {
      const auto value = hn::PromoteTo(d, span.LoadOr(df, x + begin + i, least));
      sum = hn::Add(sum, ExpOfNonPositive(d, hn::Mul(hn::Sub(value, top), by)));
    });
    sums[begin / kChoiceBlock] = hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(BlockPeaks);
HWY_EXPORT(BlockWeights);
}  // namespace

bool block_peaks(float* peaks, const float* x, std::size_t n) {
  return HWY_DYNAMIC_DISPATCH(BlockPeaks)(peaks, x, n);
}

void block_weights(double* sums, const float* x, std::size_t n, double peak, double scale) {
  HWY_DYNAMIC_DISPATCH(BlockWeights)(sums, x, n, peak, scale);
}

}  // namespace sluice::kernels
#endif
