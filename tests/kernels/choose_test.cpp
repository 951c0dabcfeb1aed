// Peaks and sums of weights by block: against plain loops on every SIMD target.
#include "sluice/kernels/detail/choose.hpp"

#include <algorithm>
#include <limits>

#include "kernels/support.hpp"

namespace sluice::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::size_t blocks_of(std::size_t n) { return (n + kChoiceBlock - 1) / kChoiceBlock; }

TEST(Choose, PeaksOfBlocks) {
  on_every_target([] {
    for (const std::size_t n : {1U, 2U, 63U, 64U, 65U, 200U, 1000U}) {
      auto x = normal_values<float>(n, 3, 10);
      if (n > 5) x[5] = -kInf;
      std::vector<float> peaks(blocks_of(n));
      EXPECT_FALSE(block_peaks(peaks.data(), x.data(), n));
      for (std::size_t j = 0; j < peaks.size(); ++j) {
        const auto begin = x.begin() + static_cast<std::ptrdiff_t>(j * kChoiceBlock);
        const auto end =
            x.begin() + static_cast<std::ptrdiff_t>(std::min(n, (j + 1) * kChoiceBlock));
        EXPECT_EQ(peaks[j], *std::max_element(begin, end)) << n << " " << j;
      }
      for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
        auto odd = x;
        odd[at] = std::numeric_limits<float>::quiet_NaN();
        EXPECT_TRUE(block_peaks(peaks.data(), odd.data(), n));
      }
      std::fill(x.begin(), x.end(), -kInf);
      EXPECT_FALSE(block_peaks(peaks.data(), x.data(), n));
      EXPECT_EQ(peaks.back(), -kInf);
    }
  });
}

TEST(Choose, WeightsOfBlocks) {
  on_every_target([] {
    for (const std::size_t n : {1U, 63U, 64U, 65U, 1000U}) {
      for (const double spread : {0.01, 3.0, 40.0, 1e4}) {
        for (const double scale : {0.0, 0.5, 1.0, 7.0, 1e300}) {
          auto x = normal_values<float>(n, 4, spread);
          if (n > 5) x[5] = -kInf;
          const double peak = *std::max_element(x.begin(), x.end());
          // 0 · -Inf is no weight.
          if (scale == 0 && n > 5) x[5] = 0;
          std::vector<double> sums(blocks_of(n)), want(blocks_of(n));
          block_weights(sums.data(), x.data(), n, std::max(peak, static_cast<double>(x[0])), scale);
          for (std::size_t i = 0; i < n; ++i) {
            want[i / kChoiceBlock] += std::exp((static_cast<double>(x[i]) - peak) * scale);
          }
          for (std::size_t j = 0; j < sums.size(); ++j) {
            ASSERT_NEAR(sums[j], want[j], 1e-13 * want[j] + 1e-300) << n << " " << spread;
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace sluice::kernels
