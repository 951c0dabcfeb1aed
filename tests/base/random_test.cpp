#include "sluice/base/random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace sluice {
namespace {

using Counter = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

// The known-answer vectors of Random123 1.14, tests/kat_vectors, philox4x32 with 10 rounds.
TEST(Random, PhiloxKnownAnswers) {
  struct Case {
    Counter counter;
    Key key;
    Counter expected;
  };
  const Case cases[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}},
      {{0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF},
       {0xFFFFFFFF, 0xFFFFFFFF},
       {0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}},
      {{0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344},
       {0xA4093822, 0x299F31D0},
       {0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}},
  };
  for (const Case& each : cases) EXPECT_EQ(philox4x32(each.counter, each.key), each.expected);
}

TEST(Random, BitsAreTheWordsOfBlocks) {
  const RandomKey key{0x0123456789ABCDEF, 42, 7};
  const std::uint64_t indexes[] = {
      0, 1, 2, 3, 4, 1001, 0x3FFFFFFFFULL, 0x400000000ULL, 0xFFFFFFFFFFFFFFFFULL};
  for (const std::uint64_t index : indexes) {
    const std::uint64_t block = index / 4;
    const Counter counter = {static_cast<std::uint32_t>(block),
                             static_cast<std::uint32_t>(block >> 32), 42, 7};
    EXPECT_EQ(key.bits(index), philox4x32(counter, {0x89ABCDEF, 0x01234567})[index % 4]);
  }
}

TEST(Random, EveryPartOfTheKeyMatters) {
  const RandomKey keys[] = {{1, 2, 3}, {2, 2, 3}, {1, 3, 3}, {1, 2, 4}, {1ULL << 32 | 1, 2, 3}};
  std::set<std::uint32_t> values;
  std::set<double> uniforms;
  std::set<double> normals;
  for (const RandomKey& key : keys) {
    values.insert(key.bits(5));
    uniforms.insert(key.uniform_double(5));
    normals.insert(key.normal(5));
  }
  EXPECT_EQ(values.size(), std::size(keys));
  EXPECT_EQ(uniforms.size(), std::size(keys));
  EXPECT_EQ(normals.size(), std::size(keys));
}

TEST(Random, UniformsAreInRangeWithTheRightMean) {
  const RandomKey key{3, 0, 0};
  constexpr std::uint64_t n = 100000;
  double sum = 0.0;
  double sum_double = 0.0;
  for (std::uint64_t i = 0; i < n; ++i) {
    const float u = key.uniform(i);
    const double v = key.uniform_double(i);
    ASSERT_TRUE(u >= 0.0F && u < 1.0F);
    ASSERT_TRUE(v > 0.0 && v < 1.0);
    sum += static_cast<double>(u);
    sum_double += v;
  }
  // The mean of n uniforms has a standard deviation of √(1/12n) = 9e-4; five of them.
  EXPECT_NEAR(sum / n, 0.5, 4.6e-3);
  EXPECT_NEAR(sum_double / n, 0.5, 4.6e-3);
}

TEST(Random, NormalsHaveTheRightMoments) {
  const RandomKey key{4, 1, 0};
  constexpr std::uint64_t n = 100000;
  double mean = 0.0;
  double square = 0.0;
  double fourth = 0.0;
  for (std::uint64_t i = 0; i < n; ++i) {
    const double x = key.normal(i);
    ASSERT_TRUE(std::isfinite(x));
    mean += x / n;
    square += x * x / n;
    fourth += x * x * x * x / n;
  }
  // Five standard deviations each: of x 1, of x² √2, of x⁴ √96.
  EXPECT_NEAR(mean, 0.0, 5.0 / std::sqrt(n));
  EXPECT_NEAR(square, 1.0, 5.0 * std::sqrt(2.0 / n));
  EXPECT_NEAR(fourth, 3.0, 5.0 * std::sqrt(96.0 / n));
}

}  // namespace
}  // namespace sluice
