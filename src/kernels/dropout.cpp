// Dropout, for float with random bits made by the vector: one Philox block in each 64-bit lane.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "sluice/kernels/dropout.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "dropout.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "philox-inl.hpp"
#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

void Dropout(float* y, const float* x, std::size_t n, float p, const RandomKey& key,
             std::uint64_t offset) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const auto scales = hn::Set(d, 1.0F / (1.0F - p));
  // Whole bits are at least p·2³², a product that double holds exactly, when at least its ceiling.
  const auto threshold = static_cast<std::uint32_t>(std::ceil(static_cast<double>(p) * 0x1p32));
  const auto thresholds = hn::Set(du, threshold);
  const KeySchedule schedule(key.seed);
  HWY_ALIGN std::uint32_t words[4 * kBlocks];
  std::uint64_t block = offset / 4;
  // The first word wanted need not be the first of its block; later blocks are used whole.
  std::size_t skip = offset % 4;
  for (std::size_t i = 0; i < n;) {
    FillWords(words, key, schedule, block);
    const std::size_t count = std::min(n - i, 4 * kBlocks - skip);
    ForEachVector(d, count, [&](std::size_t j, auto span) HWY_ATTR {
      const auto drop = hn::Lt(span.Load(du, words + skip + j), thresholds);
      const auto scaled = hn::Mul(scales, span.Load(d, x + i + j));
      span.Store(hn::IfThenZeroElse(hn::RebindMask(d, drop), scaled), d, y + i + j);
    });
    i += count;
    block += kBlocks;
    skip = 0;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(Dropout);
}  // namespace

void dropout(float* y, const float* x, std::size_t n, float p, const RandomKey& key,
             std::uint64_t offset) {
  HWY_DYNAMIC_DISPATCH(Dropout)(y, x, n, p, key, offset);
}

void dropout(double* y, const double* x, std::size_t n, float p, const RandomKey& key,
             std::uint64_t offset) {
  const double threshold = static_cast<double>(p) * 0x1p32;
  const double keep = 1.0 - static_cast<double>(p);
  for (std::size_t i = 0; i < n; ++i) {
    y[i] = key.bits(offset + i) >= threshold ? x[i] / keep : 0.0;
  }
}

}  // namespace sluice::kernels
#endif
