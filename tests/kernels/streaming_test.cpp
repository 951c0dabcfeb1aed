// Results written past the caches are those written through them.
#include "sluice/kernels/streaming.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "sluice/kernels/elementwise.hpp"
#include "sluice/kernels/layer_units.hpp"
#include "sluice/kernels/norm.hpp"
#include "sluice/kernels/softmax.hpp"
#include "support.hpp"

namespace sluice::kernels {
namespace {

constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();
constexpr float kUntouched = 42.0F;

// Sets the threshold for a test's time.
class Threshold {
 public:
  explicit Threshold(std::size_t bytes) : before_(streaming_threshold()) {
    set_streaming_threshold(bytes);
  }
  ~Threshold() { set_streaming_threshold(before_); }
  Threshold(const Threshold&) = delete;
  Threshold& operator=(const Threshold&) = delete;

 private:
  std::size_t before_;
};

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
            bool fused, float scale = 0.5F) {
  const auto m = static_cast<std::size_t>(unit.inputs(static_cast<std::int64_t>(n)));
  const std::size_t pitch = m + gap;
  const auto z = normal_values<float>(rows * pitch, 1);
  const auto bias = normal_values<float>(m, 2);
  const auto residual = normal_values<float>(rows * n, 3);
  const auto dy = normal_values<float>(rows * n, 4);
  Results r{untouched(rows * n + offset), untouched(rows * pitch + offset),
            std::vector<float>(m, 0.0F)};
  const float* const b = fused ? bias.data() : nullptr;
  unit_forward(r.y.data()->floats + offset, z.data(), pitch, b, fused ? residual.data() : nullptr,
               scale, rows, n, unit);
  unit_backward(r.dz.data()->floats + offset, pitch, fused ? r.dbias.data() : nullptr, dy.data(),
                z.data(), pitch, b, scale, rows, n, unit);
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
              const Threshold never(kNever);
              const Results through = run(unit, 3, n, offset, gap, fused);
              set_streaming_threshold(0);
              const Results past = run(unit, 3, n, offset, gap, fused);
              const auto where = fmt::format("{} {} {} {}", name, n, offset, gap);
              ASSERT_TRUE(same_bits(through.y, past.y)) << where;
              ASSERT_TRUE(same_bits(through.dz, past.dz)) << where;
              ASSERT_TRUE(same_bits(through.dbias, past.dbias)) << where;
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
              const Threshold never(kNever);
              const Results through = run(unit, rows, n, offset, gap, false, 1.0F);
              set_streaming_threshold(0);
              const Results past = run(unit, rows, n, offset, gap, false, 1.0F);
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
    const Threshold never(kNever);
    activation_forward(through.data(), x.data(), x.size(), Activation::silu);
    activation_backward(dx_through.data(), dy.data(), x.data(), x.size(), Activation::silu);
    set_streaming_threshold(0);
    const Unit silu = parse_unit("silu");
    const float* const none = nullptr;
    unit_forward(past.data(), x.data(), 37, none, none, 1.0F, 27, 37, silu);
    unit_backward(dx_past.data(), 37, static_cast<float*>(nullptr), dy.data(), x.data(), 37, none,
                  1.0F, 27, 37, silu);
    EXPECT_TRUE(same_bits(through, past));
    EXPECT_TRUE(same_bits(dx_through, dx_past));
  });
}

TEST(Streaming, InPlaceStaysInTheCaches) {
  const auto x = normal_values<float>(300, 7);
  auto expected = x;
  auto in_place = x;
  const Threshold never(kNever);
  activation_forward(expected.data(), x.data(), x.size(), Activation::tanh);
  set_streaming_threshold(0);
  activation_forward(in_place.data(), in_place.data(), x.size(), Activation::tanh);
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
            channel_affine(through.data()->floats + offset, x.data(), shift.data(), a.data(),
                           b.data(), layout, false);
            channel_affine(past.data()->floats + offset, x.data(), shift.data(), a.data(), b.data(),
                           layout, true);
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
        const auto run = [&](bool past_caches) {
          const Lines clean = untouched(kRows * n + offset);
          std::vector<Lines> all;
          const auto next = [&] { return all.emplace_back(clean).data()->floats + offset; };
          std::vector<float> statistics(3 * kRows), dw(n), db(n);
          norm_rows_forward(next(), statistics.data(), x.data(), w.data(), w.data(), 1e-5, true,
                            kRows, 1, n, past_caches);
          norm_rows_backward(next(), dw.data(), db.data(), dy.data(), x.data(), statistics.data(),
                             w.data(), true, kRows, 1, n, past_caches);
          for (const auto kind : {SoftmaxKind::softmax, SoftmaxKind::log_softmax}) {
            float* const y = next();
            softmax_forward(y, x.data(), kRows, n, kind, past_caches);
            softmax_backward(next(), dy.data(), y, kRows, n, kind, past_caches);
          }
          return all;
        };
        const auto through = run(false), past = run(true);
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
        const auto run = [&](std::size_t threshold) {
          const Threshold set(threshold);
          const Lines clean = untouched(kBlocks * kRows * n + offset);
          std::vector<Lines> all;
          const auto next = [&] { return all.emplace_back(clean).data()->floats + offset; };
          std::vector<float> sums(n);
          prelu_forward(next(), z.data(), each.data(), kRows, n);
          prelu_backward(next(), sums.data(), dy.data(), z.data(), each.data(), kRows, n);
          swish_forward(next(), z.data(), each.data(), kRows, n);
          swish_backward(next(), sums.data(), dy.data(), z.data(), each.data(), kRows, n);
          for (const std::uint64_t first : {0U, 3U}) {
            rrelu(next(), dy.data(), z.data(), kRows * n, 0.1F, 0.3F, RandomKey{1, 2, 3}, first);
          }
          maxout_forward(next(), z.data(), kRows, n, kBlocks);
          maxout_backward(next(), dy.data(), z.data(), kRows, n, kBlocks);
          return all;
        };
        const auto through = run(kNever), past = run(0);
        for (std::size_t i = 0; i < through.size(); ++i) {
          ASSERT_TRUE(same_bits(through[i], past[i])) << i << " " << n << " " << offset;
        }
      }
    }
  });
}

TEST(Streaming, NothingIsNoWork) {
  const Threshold always(0);
  activation_forward(static_cast<float*>(nullptr), static_cast<const float*>(nullptr), 0,
                     Activation::relu);
  float y = kUntouched;
  const float z = 1;
  unit_forward(&y, &z, 1, static_cast<const float*>(nullptr), static_cast<const float*>(nullptr),
               1.0F, 0, 1, parse_unit("relu"));
  EXPECT_EQ(y, kUntouched);
}

}  // namespace
}  // namespace sluice::kernels
