// Dropout on every SIMD target.
#include "sluice/kernels/dropout.hpp"

#include "kernels/support.hpp"

namespace sluice::kernels {
namespace {

TEST(Dropout, IsTheSequenceOfTheKeyAtAnyOffset) {
  const RandomKey key{0x123456789ABCDEF0, 5, 9};
  const float p = 0.3F;
  on_every_target([&] {
    for (const std::uint64_t offset : {0ULL, 1ULL, 2ULL, 7ULL, 1000001ULL, (1ULL << 34) - 5}) {
      for (const std::size_t n : {0U, 1U, 3U, 4U, 17U, 31U, 203U}) {
        const auto x = normal_values<float>(n, 1);
        std::vector<float> y(n + 1, 77.0F);
        dropout(y.data(), x.data(), n, p, key, offset);
        EXPECT_EQ(y[n], 77.0F);
        const auto wide = converted<double>(x);
        std::vector<double> want(n);
        dropout(want.data(), wide.data(), n, p, key, offset);
        auto in_place = x;
        dropout(in_place.data(), in_place.data(), n, p, key, offset);
        for (std::size_t i = 0; i < n; ++i) {
          const bool keep = key.bits(offset + i) >= static_cast<double>(p) * 4294967296.0;
          EXPECT_EQ(y[i] != 0.0F, keep) << "offset " << offset << " element " << i;
          EXPECT_EQ(want[i] != 0.0, keep);
          EXPECT_NEAR(static_cast<double>(y[i]), want[i], 1e-6);
          EXPECT_EQ(in_place[i], y[i]);
        }
      }
    }
  });
}

TEST(Dropout, KeepsTheMean) {
  constexpr std::size_t n = 200000;
  const std::vector<float> ones(n, 1.0F);
  std::vector<float> y(n);
  for (const float p : {0.0F, 0.1F, 0.9F}) {
    dropout(y.data(), ones.data(), n, p, {1, 2, 3}, 0);
    double mean = 0.0;
    for (const float value : y) mean += static_cast<double>(value) / n;
    // Five standard deviations of the mean of n elements.
    EXPECT_NEAR(mean, 1.0, 1e-7 + 5.0 * std::sqrt(static_cast<double>(p / (1 - p)) / n)) << p;
  }
}

}  // namespace
}  // namespace sluice::kernels
