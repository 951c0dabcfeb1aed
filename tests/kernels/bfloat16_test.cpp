// bfloat16 on every SIMD target.
#include "sluice/kernels/detail/bfloat16.hpp"

#include "kernels/support.hpp"

namespace sluice::kernels {
namespace {

TEST(Bfloat16, RoundsToNearestEven) {
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
