// Dropout for float, its random bits made by the vector: one Philox block in each 64-bit lane.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "sluice/base/random.hpp"
#include "sluice/kernels/elementwise.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "dropout.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

// Words of the blocks [block, block + kBlocks) of the sequence, in order.
constexpr std::size_t kMostBlocks = 1;
std::size_t FillWords(std::uint32_t* words, const RandomKey& key, std::uint64_t block) {
  const auto of_block = philox4x32(
      {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), key.stream,
       key.step},
      {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32)});
  std::copy(of_block.begin(), of_block.end(), words);
  return 1;
}

#else

constexpr std::size_t kMostBlocks = hn::MaxLanes(hn::ScalableTag<std::uint64_t>());

// Words of as many blocks from `block` on as a vector has 64-bit lanes, in order; returns how many
// blocks. Each of the four counters is the lower half of a lane; the upper halves hold leavings,
// which MulEven does not see and the end masks away. (base/random.cpp has the algorithm in plain
// words.)
std::size_t FillWords(std::uint32_t* words, const RandomKey& key, std::uint64_t block) {
  const hn::ScalableTag<std::uint64_t> d;
  const hn::Repartition<std::uint32_t, decltype(d)> d32;
  const auto multiply = [&](std::uint32_t by, auto counter) HWY_ATTR {
    return hn::MulEven(hn::Set(d32, by), hn::BitCast(d32, counter));
  };
  auto c0 = hn::Iota(d, 0);
  c0 = hn::Add(c0, hn::Set(d, block));
  auto c1 = hn::ShiftRight<32>(c0);
  auto c2 = hn::Set(d, key.stream);
  auto c3 = hn::Set(d, key.step);
  auto key0 = static_cast<std::uint32_t>(key.seed);
  auto key1 = static_cast<std::uint32_t>(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const auto product0 = multiply(0xD2511F53, c0);
    const auto product1 = multiply(0xCD9E8D57, c2);
    c0 = hn::Xor3(hn::ShiftRight<32>(product1), c1, hn::Set(d, key0));
    c1 = product1;
    c2 = hn::Xor3(hn::ShiftRight<32>(product0), c3, hn::Set(d, key1));
    c3 = product0;
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  const auto low = hn::Set(d, 0xFFFFFFFFU);
  const auto first = hn::Or(hn::And(c0, low), hn::ShiftLeft<32>(c1));
  const auto second = hn::Or(hn::And(c2, low), hn::ShiftLeft<32>(c3));
  HWY_ALIGN std::uint64_t pairs[2 * kMostBlocks];
  hn::StoreInterleaved2(first, second, d, pairs);
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t i = 0; i < 2 * lanes; i += lanes) {
    hn::StoreU(hn::BitCast(d32, hn::Load(d, pairs + i)), d32, words + 2 * i);
  }
  return lanes;
}

#endif

void Dropout(float* y, const float* x, std::size_t n, std::uint32_t threshold, float scale,
             const RandomKey& key, std::uint64_t offset) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const auto scales = hn::Set(d, scale);
  const auto thresholds = hn::Set(du, threshold);
  HWY_ALIGN std::uint32_t words[4 * kMostBlocks];
  std::uint64_t block = offset / 4;
  // The first word wanted need not be the first of its block; later blocks are used whole.
  std::size_t skip = offset % 4;
  for (std::size_t i = 0; i < n;) {
    const std::size_t blocks = FillWords(words, key, block);
    const std::size_t count = std::min(n - i, 4 * blocks - skip);
    ForEachVector(d, count, [&](std::size_t j, auto span) HWY_ATTR {
      const auto drop = hn::Lt(span.Load(du, words + skip + j), thresholds);
      const auto scaled = hn::Mul(scales, span.Load(d, x + i + j));
      span.Store(hn::IfThenZeroElse(hn::RebindMask(d, drop), scaled), d, y + i + j);
    });
    i += count;
    block += blocks;
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

void dropout(float* y, const float* x, std::size_t n, float p, std::uint64_t seed,
             std::uint32_t stream, std::uint32_t step, std::uint64_t offset) {
  // Whole bits are at least p·2³², a product that double holds exactly, when at least its ceiling.
  const auto threshold = static_cast<std::uint32_t>(std::ceil(static_cast<double>(p) * 0x1p32));
  const RandomKey key{seed, stream, step};
  HWY_DYNAMIC_DISPATCH(Dropout)(y, x, n, threshold, 1.0F / (1.0F - p), key, offset);
}

}  // namespace sluice::kernels
#endif
