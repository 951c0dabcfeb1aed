#include "buckets.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace sluice {
namespace {

using Sizes = std::vector<std::int64_t>;
using Counts = std::vector<std::size_t>;

constexpr std::int64_t kilo = 1024, mega = 1024 * kilo;

TEST(Buckets, TheFirstIsSmallAndOthersHaveFourMegabytes) {
  EXPECT_EQ(leaves_of_buckets(Sizes{}), Counts{});
  EXPECT_EQ(leaves_of_buckets(Sizes{4}), Counts{1});
  EXPECT_EQ(leaves_of_buckets(Sizes{512 * kilo, 512 * kilo, 4}), (Counts{2, 1}));
  EXPECT_EQ(leaves_of_buckets(Sizes{mega, mega, mega, mega, mega, mega}), (Counts{1, 4, 1}));
}

TEST(Buckets, ALargeLeafIsOneByItself) {
  EXPECT_EQ(leaves_of_buckets(Sizes{9 * mega, 4, 8 * mega, 4}), (Counts{1, 1, 1, 1}));
  EXPECT_EQ(leaves_of_buckets(Sizes{4, 9 * mega, 4 * mega}), (Counts{1, 1, 1}));
}

}  // namespace
}  // namespace sluice
