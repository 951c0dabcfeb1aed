// Results written past the caches are those written through them.
#include "sluice/kernels/traffic.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <vector>

#include <fmt/format.h>

#include "sluice/kernels/fused_units.hpp"
#include "sluice/kernels/layer_units.hpp"
#include "sluice/kernels/norm.hpp"
#include "sluice/kernels/softmax.hpp"
#include "support.hpp"

namespace sluice::kernels {
namespace {

constexpr float kUntouched = 42.0F;
constexpr Traffic kPast[] = {Traffic::fetched, Traffic::streamed};

// Floats that begin at the start of a cache line.
struct alignas(64) Line {
  float floats[16];
};
using Lines = std::vector<Line>;

Lines untouched(std::size_t n) {
  Line line;
  std::fill(std::begin(line.floats), std::end(line.floats), kUntouched);
  return Lines(n / 16 + 2, line);
}

struct Results {
  Lines y, dz;
  std::vector<float> dbias;
};

// Forward and backward of `unit` on rows that begin `offset` floats into a line, those of z and dz
// `gap` floats apart.
Results run(const Unit& unit, std::size_t rows, std::size_t n, std::size_t offset, std::size_t gap,
            bool fused, Traffic traffic) {
  const float scale = fused ? 0.5F : 1.0F;
  const auto m = static_cast<std::size_t>(unit.inputs(static_cast<std::int64_t>(n)));
  const std::size_t pitch = m + gap;
  const auto z = normal_values<float>(rows * pitch, 1);
  const auto bias = normal_values<float>(m, 2);
  const auto residual = normal_values<float>(rows * n, 3);
  const auto dy = normal_values<float>(rows * n, 4);
  Results r{untouched(rows * n + offset), untouched(rows * pitch + offset),
            std::vector<float>(m, 0.0F)};
  const float* const b = fused ? bias.data() : nullptr;
  unit_forward(UnitForward<float>{r.y.data()->floats + offset, z.data(), pitch, b,
                                  fused ? residual.data() : nullptr, scale, traffic},
               rows, n, unit);
  unit_backward(
      UnitBackward<float>{r.dz.data()->floats + offset, pitch, fused ? r.dbias.data() : nullptr,
                          dy.data(), z.data(), pitch, b, scale, traffic},
      rows, n, unit);
  return r;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

TEST(Streaming, GivesTheSameBitsAndTouchesNothingElse) {
  on_every_target([] {
    for (const char* const name : {"gelu", "glu", "relu", "bilinear"}) {
      const Unit unit = parse_unit(name);
      for (const std::size_t n : {1U, 7U, 16U, 100U, 255U, 256U, 257U, 700U, 3000U}) {
        for (const std::size_t offset : {0U, 1U, 5U, 16U}) {
          for (const std::size_t gap : {0U, 5U}) {
            for (const bool fused : {false, true}) {
              const Results through = run(unit, 3, n, offset, gap, fused, Traffic::cached);
              for (const Traffic traffic : kPast) {
                const Results past = run(unit, 3, n, offset, gap, fused, traffic);
                const auto where = fmt::format("{} {} {} {}", name, n, offset, gap);
                ASSERT_TRUE(same_bits(through.y, past.y)) << where;
                ASSERT_TRUE(same_bits(through.dz, past.dz)) << where;
                ASSERT_TRUE(same_bits(through.dbias, past.dbias)) << where;
              }
            }
          }
        }
      }
    }
  });
}

// Four rows at once, and what they leave.
TEST(Streaming, RowsFarApartGiveTheSameBitsAndTouchNothingElse) {
  on_every_target([] {
    for (const char* const name : {"gelu", "glu", "relu"}) {
      const Unit unit = parse_unit(name);
      for (const std::size_t rows : {1U, 4U, 5U, 19U, 300U}) {
        for (const std::size_t n : {16U, 40U, 48U, 512U, 1040U, 4112U}) {
          if (rows * n > 40000) continue;
          for (const std::size_t offset : {0U, 5U}) {
            for (const std::size_t gap : {0U, 5U}) {
              const Results through = run(unit, rows, n, offset, gap, false, Traffic::cached);
              const Results past = run(unit, rows, n, offset, gap, false, Traffic::streamed);
              const auto where = fmt::format("{} {} {} {} {}", name, rows, n, offset, gap);
              ASSERT_TRUE(same_bits(through.y, past.y)) << where;
              ASSERT_TRUE(same_bits(through.dz, past.dz)) << where;
            }
          }
        }
      }
    }
  });
}

TEST(Streaming, RowsWithoutGapsAreOneRow) {
  on_every_target([] {
    const auto x = normal_values<float>(999, 5);
    const auto dy = normal_values<float>(999, 6);
    std::vector<float> through(999), past(999), dx_through(999), dx_past(999);
    activation_forward(through.data(), x.data(), x.size(), Activation::silu);
    activation_backward(dx_through.data(), dy.data(), x.data(), x.size(), Activation::silu);
    const Unit silu = parse_unit("silu");
    unit_forward(
        UnitForward<float>{past.data(), x.data(), 37, nullptr, nullptr, 1.0F, Traffic::streamed},
        27, 37, silu);
    unit_backward(UnitBackward<float>{dx_past.data(), 37, nullptr, dy.data(), x.data(), 37, nullptr,
                                      1.0F, Traffic::streamed},
                  27, 37, silu);
    EXPECT_TRUE(same_bits(through, past));
    EXPECT_TRUE(same_bits(dx_through, dx_past));
  });
}

TEST(Streaming, InPlaceStaysInTheCaches) {
  const auto x = normal_values<float>(300, 7);
  auto expected = x;
  auto in_place = x;
  activation_forward(expected.data(), x.data(), x.size(), Activation::tanh);
  unit_forward(UnitForward<float>{in_place.data(), in_place.data(), x.size(), nullptr, nullptr,
                                  1.0F, Traffic::streamed},
               1, x.size(), parse_unit("tanh"));
  EXPECT_TRUE(same_bits(expected, in_place));
}

TEST(Streaming, NormsGiveTheSameBitsAndTouchNothingElse) {
  on_every_target([] {
    for (const bool last : {false, true}) {
      for (const std::size_t channels : {1U, 3U, 16U, 48U}) {
        for (const std::size_t length : {1U, 5U, 16U, 64U}) {
          for (const std::size_t offset : {0U, 1U, 16U}) {
            const std::size_t n = channels * length;
            const auto x = normal_values<float>(n, 8), shift = normal_values<float>(channels, 9),
                       a = normal_values<float>(channels, 10),
                       b = normal_values<float>(channels, 11);
            Lines through = untouched(n + offset), past = through;
            const ChannelLayout layout{last, channels, length};
            const auto affine = [&](Lines& to, Traffic traffic) {
              channel_affine(ChannelAffine<float>{to.data()->floats + offset, x.data(),
                                                  shift.data(), a.data(), b.data(), traffic},
                             layout);
            };
            affine(through, Traffic::cached);
            affine(past, Traffic::streamed);
            ASSERT_TRUE(same_bits(through, past)) << channels << " " << length << " " << offset;
          }
        }
      }
    }
  });
}

TEST(Streaming, RowNormsAndSoftmaxGiveTheSameBitsAndTouchNothingElse) {
  on_every_target([] {
    constexpr std::size_t kRows = 7;
    for (const std::size_t n : {1U, 5U, 16U, 48U, 1040U}) {
      for (const std::size_t offset : {0U, 1U, 16U}) {
        const auto x = normal_values<float>(kRows * n, 12),
                   dy = normal_values<float>(kRows * n, 13), w = normal_values<float>(n, 14);
        const auto run = [&](Traffic traffic) {
          const Lines clean = untouched(kRows * n + offset);
          std::vector<Lines> all;
          const auto next = [&] { return all.emplace_back(clean).data()->floats + offset; };
          std::vector<float> statistics(3 * kRows), dw(n), db(n);
          const RowSets sets{kRows, 1, n};
          norm_rows_forward(NormRowsForward<float>{next(), statistics.data(), x.data(), w.data(),
                                                   w.data(), 1e-5, traffic},
                            sets);
          norm_rows_backward(
              NormRowsBackward<float>{next(), dw.data(), db.data(), dy.data(), x.data(),
                                      statistics.data(), w.data(), traffic},
              sets);
          for (const auto kind : {SoftmaxKind::softmax, SoftmaxKind::log_softmax}) {
            float* const y = next();
            softmax_forward(y, x.data(), {kRows, n, kind, traffic});
            softmax_backward(next(), dy.data(), y, {kRows, n, kind, traffic});
          }
          return all;
        };
        const auto through = run(Traffic::cached), past = run(Traffic::streamed);
        for (std::size_t i = 0; i < through.size(); ++i) {
          ASSERT_TRUE(same_bits(through[i], past[i])) << i << " " << n << " " << offset;
        }
      }
    }
  });
}

TEST(Streaming, LayerUnitsGiveTheSameBitsAndTouchNothingElse) {
  on_every_target([] {
    constexpr std::size_t kRows = 5, kBlocks = 2;
    for (const std::size_t n : {1U, 7U, 16U, 48U, 1040U}) {
      for (const std::size_t offset : {0U, 1U, 16U}) {
        const auto z = normal_values<float>(kBlocks * kRows * n, 15),
                   dy = normal_values<float>(kRows * n, 16), each = normal_values<float>(n, 17);
        const auto run = [&](Traffic traffic) {
          const Lines clean = untouched(kBlocks * kRows * n + offset);
          std::vector<Lines> all;
          const auto next = [&] { return all.emplace_back(clean).data()->floats + offset; };
          std::vector<float> sums(n);
          const auto forward = [&] {
            return LearnedForward<float>{next(), z.data(), each.data(), traffic};
          };
          const auto backward = [&] {
            return LearnedBackward<float>{next(),   sums.data(), dy.data(),
                                          z.data(), each.data(), traffic};
          };
          prelu_forward(forward(), kRows, n);
          prelu_backward(backward(), kRows, n);
          swish_forward(forward(), kRows, n);
          swish_backward(backward(), kRows, n);
          for (const std::uint64_t first : {0U, 3U}) {
            rrelu(next(), dy.data(), z.data(), kRows * n, {0.1F, 0.3F, {1, 2, 3}, first}, traffic);
          }
          maxout_forward(next(), z.data(), {kRows, n, kBlocks}, traffic);
          maxout_backward(next(), dy.data(), z.data(), {kRows, n, kBlocks}, traffic);
          return all;
        };
        const auto through = run(Traffic::cached), past = run(Traffic::streamed);
        for (std::size_t i = 0; i < through.size(); ++i) {
          ASSERT_TRUE(same_bits(through[i], past[i])) << i << " " << n << " " << offset;
        }
      }
    }
  });
}

TEST(Traffic, FollowsTheCaches) {
  EXPECT_EQ(traffic_of(0), Traffic::cached);
  EXPECT_EQ(traffic_of(1024), Traffic::cached);
  EXPECT_EQ(traffic_of(0x1p40), Traffic::streamed);
  bool fetched = false;
  for (double bytes = 1024; bytes < 0x1p40; bytes *= 2) {
    EXPECT_LE(traffic_of(bytes), traffic_of(2 * bytes));
    fetched = fetched || traffic_of(bytes) == Traffic::fetched;
  }
  EXPECT_TRUE(fetched);
}

TEST(Streaming, NothingIsNoWork) {
  activation_forward(static_cast<float*>(nullptr), static_cast<const float*>(nullptr), 0,
                     Activation::relu);
  float y = kUntouched;
  const float z = 1;
  unit_forward(UnitForward<float>{&y, &z, 1, nullptr, nullptr, 1.0F, Traffic::streamed}, 0, 1,
               parse_unit("relu"));
  EXPECT_EQ(y, kUntouched);
}

}  // namespace
}  // namespace sluice::kernels
