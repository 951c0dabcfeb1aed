// Scaling, sums, dropout and bfloat16 on every SIMD target.
#include "sluice/kernels/elementwise.hpp"

#include "kernels/support.hpp"

namespace sluice::kernels {
namespace {

constexpr std::size_t kSizes[] = {0, 1, 3, 4, 16, 17, 31, 1003, 5000};

TEST(Elementwise, ScaleAndAdd) {
  on_every_target([] {
    for (const std::size_t n : kSizes) {
      const auto x = normal_values<float>(n + 1, 1);
      const auto y = normal_values<float>(n + 2, 2);
      auto scaled = y;
      auto added = y;
      scale_into(scaled.data() + 1, x.data() + 1, -0.3F, n);
      add_scaled(added.data() + 1, x.data() + 1, -0.3F, n);
      EXPECT_EQ(scaled[0], y[0]);
      EXPECT_EQ(added[n + 1], y[n + 1]);
      for (std::size_t i = 1; i <= n; ++i) {
        EXPECT_EQ(scaled[i], -0.3F * x[i]);
        EXPECT_NEAR(added[i], y[i] - 0.3F * x[i], 1e-6);
      }
    }
  });
}

TEST(Elementwise, ColumnSums) {
  on_every_target([] {
    for (const std::size_t n : {1U, 5U, 16U, 33U}) {
      for (const std::size_t rows : {0U, 1U, 3U, 4U, 9U}) {
        const auto x = normal_values<float>(rows * n, 1);
        std::vector<float> sums(n + 1, 2.0F);
        column_sums(sums.data(), x.data(), rows, n);
        const auto wide = converted<double>(x);
        std::vector<double> want(n, 2.0);
        column_sums(want.data(), wide.data(), rows, n);
        for (std::size_t j = 0; j < n; ++j) {
          double sum = 2.0;
          for (std::size_t r = 0; r < rows; ++r) sum += wide[r * n + j];
          EXPECT_NEAR(want[j], sum, 1e-13);
          EXPECT_NEAR(static_cast<double>(sums[j]), sum, 3e-6);
        }
        EXPECT_EQ(sums[n], 2.0F);
      }
    }
  });
}

TEST(Elementwise, SumOfSquaresIsTheSameBitsOnEveryTarget) {
  for (const std::size_t n : {0U, 1U, 31U, 32U, 33U, 4095U, 4096U, 4097U, 100003U}) {
    const auto x = normal_values<float>(n + 1, 1);
    const auto wide = converted<double>(x);
    const double want = sum_of_squares(wide.data() + 1, n);
    double plain = 0.0;
    for (std::size_t i = 1; i <= n; ++i) plain += wide[i] * wide[i];
    EXPECT_NEAR(want, plain, 1e-12 * plain);
    on_every_target([&] { EXPECT_EQ(sum_of_squares(x.data() + 1, n), want) << n; });
  }
}

TEST(Elementwise, DropoutIsTheSequenceOfTheKeyAtAnyOffset) {
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

TEST(Elementwise, DropoutKeepsTheMean) {
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

TEST(Elementwise, Bfloat16RoundsToNearestEven) {
  struct Case {
    std::uint32_t from;
    std::uint16_t to;
  };
  const Case cases[] = {
      {0x3F800000, 0x3F80},  // 1
      {0x3F808000, 0x3F80},  // a tie goes to even, down
      {0x3F818000, 0x3F82},  // a tie goes to even, up
      {0x3F808001, 0x3F81},  // above a tie
      {0x3F817FFF, 0x3F81},  // below a tie
      {0x80000000, 0x8000},  // -0
      {0x7F800000, 0x7F80},  // Inf
      {0xFF800000, 0xFF80},  // -Inf
      {0x7F7FFFFF, 0x7F80},  // the largest float rounds to Inf
      {0x00000001, 0x0000},  // the least denormal
      {0x7F800001, 0x7FC0},  // a NaN whose payload would round away
      {0xFFFFFFFF, 0xFFFF},  // a NaN whose payload would overflow
  };
  on_every_target([&] {
    for (const std::size_t n : {std::size(cases), 4 * std::size(cases) + 3}) {
      std::vector<float> x;
      for (std::size_t i = 0; i < n; ++i) {
        x.push_back(std::bit_cast<float>(cases[i % std::size(cases)].from));
      }
      std::vector<std::uint16_t> y(n + 1, 7);
      to_bfloat16(y.data(), x.data(), n);
      EXPECT_EQ(y[n], 7);
      std::vector<float> back(n + 1, 7.0F);
      from_bfloat16(back.data(), y.data(), n);
      EXPECT_EQ(back[n], 7.0F);
      for (std::size_t i = 0; i < n; ++i) {
        EXPECT_EQ(y[i], cases[i % std::size(cases)].to) << std::hex << std::bit_cast<int>(x[i]);
        EXPECT_EQ(std::bit_cast<std::uint32_t>(back[i]), std::uint32_t{y[i]} << 16);
      }
    }
  });
}

}  // namespace
}  // namespace sluice::kernels
