// Random words of counter-based sequences, made by the vector. Included once per SIMD target.
#if defined(SLUICE_KERNELS_PHILOX_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_PHILOX_INL_HPP
#undef SLUICE_KERNELS_PHILOX_INL_HPP
#else
#define SLUICE_KERNELS_PHILOX_INL_HPP
#endif

#include <hwy/highway.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "sluice/base/random.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The keys of the ten rounds, widened to lanes.
struct KeySchedule {
  explicit KeySchedule(std::uint64_t seed) {
    auto key0 = static_cast<std::uint32_t>(seed);
    auto key1 = static_cast<std::uint32_t>(seed >> 32);
    for (std::size_t round = 0; round < 10; ++round) {
      first[round] = key0;
      second[round] = key1;
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
  }
  std::array<std::uint64_t, 10> first;
  std::array<std::uint64_t, 10> second;
};

#if HWY_TARGET == HWY_SCALAR

// Words of the next kBlocks blocks of the sequence from `block` on, in order.
constexpr std::size_t kBlocks = 1;
inline void FillWords(std::uint32_t* words, const RandomKey& key, const KeySchedule& /*schedule*/,
                      std::uint64_t block) {
  for (std::uint64_t i = 0; i < 4; ++i) words[i] = key.bits(4 * block + i);
}

#else

using WideTag = hn::ScalableTag<std::uint64_t>;
using Wide = hn::Vec<WideTag>;
constexpr std::size_t kLanes = hn::MaxLanes(WideTag());
constexpr std::size_t kBlocks = 2 * kLanes;

// A vector of blocks: each of the four counters is the lower half of a lane. The upper halves hold
// leavings, which MulEven does not see and the end masks away.
struct Counters {
  Wide c0, c1, c2, c3;

  Counters(const RandomKey& key, std::uint64_t block) {
    const WideTag d;
    // Even lanes count the first half of the blocks and odd lanes the second, because that is how
    // interleaving puts them in order.
    const auto lane = hn::Iota(d, 0);
    const auto half = hn::Set(d, kLanes / 2);
    const auto odd = hn::Ne(hn::And(lane, hn::Set(d, 1)), hn::Zero(d));
    const auto place = hn::Add(hn::ShiftRight<1>(lane), hn::IfThenElseZero(odd, half));
    c0 = hn::Add(hn::Set(d, block), place);
    c1 = hn::ShiftRight<32>(c0);
    c2 = hn::Set(d, key.stream);
    c3 = hn::Set(d, key.step);
  }

  // base/random.cpp has the algorithm in plain words.
  HWY_INLINE void Round(std::uint64_t key0, std::uint64_t key1) {
    const WideTag d;
    const hn::Repartition<std::uint32_t, WideTag> d32;
    const auto product0 = hn::MulEven(hn::Set(d32, 0xD2511F53), hn::BitCast(d32, c0));
    const auto product1 = hn::MulEven(hn::Set(d32, 0xCD9E8D57), hn::BitCast(d32, c2));
    c0 = hn::Xor3(hn::ShiftRight<32>(product1), c1, hn::Set(d, key0));
    c1 = product1;
    c2 = hn::Xor3(hn::ShiftRight<32>(product0), c3, hn::Set(d, key1));
    c3 = product0;
  }

  HWY_INLINE void Store(std::uint32_t* words) const {
    const WideTag d;
    const hn::Repartition<std::uint32_t, WideTag> d32;
    const auto low = hn::Set(d, 0xFFFFFFFFU);
    const auto first = hn::Or(hn::And(c0, low), hn::ShiftLeft<32>(c1));
    const auto second = hn::Or(hn::And(c2, low), hn::ShiftLeft<32>(c3));
    hn::Store(hn::BitCast(d32, hn::InterleaveLower(d, first, second)), d32, words);
    hn::Store(hn::BitCast(d32, hn::InterleaveUpper(d, first, second)), d32, words + 2 * kLanes);
  }
};

// Words of the next kBlocks blocks of the sequence from `block` on, in order. Two vectors of
// blocks, because each round waits for the one before.
inline void FillWords(std::uint32_t* words, const RandomKey& key, const KeySchedule& schedule,
                      std::uint64_t block) {
  Counters one(key, block);
  Counters two(key, block + kLanes);
  for (std::size_t round = 0; round < 10; ++round) {
    one.Round(schedule.first[round], schedule.second[round]);
    two.Round(schedule.first[round], schedule.second[round]);
  }
  one.Store(words);
  two.Store(words + 4 * kLanes);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
