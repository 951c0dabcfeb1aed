// Results written past the caches are those written through them.
#include "sluice/kernels/streaming.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <vector>

#include "sluice/kernels/elementwise.hpp"
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

struct Results {
  std::vector<float> y, dz, dbias;
};

// Forward and backward of `unit` on rows that begin `offset` floats into a line.
Results run(const Unit& unit, std::size_t rows, std::size_t n, std::size_t offset, bool with_bias,
            bool with_residual) {
  const auto m = static_cast<std::size_t>(unit.inputs(static_cast<std::int64_t>(n)));
  const std::size_t pitch = m + 5;
  const auto z = normal_values<float>(rows * pitch, 1);
  const auto bias = normal_values<float>(m, 2);
  const auto residual = normal_values<float>(rows * n, 3);
  const auto dy = normal_values<float>(rows * n, 4);
  Results r{std::vector<float>(rows * n + offset + 16, kUntouched),
            std::vector<float>(rows * pitch + offset + 16, kUntouched),
            std::vector<float>(m, 0.0F)};
  const float* const b = with_bias ? bias.data() : nullptr;
  unit_forward(r.y.data() + offset, z.data(), pitch, b, with_residual ? residual.data() : nullptr,
               0.5F, rows, n, unit);
  unit_backward(r.dz.data() + offset, pitch, with_bias ? r.dbias.data() : nullptr, dy.data(),
                z.data(), pitch, b, 0.5F, rows, n, unit);
  return r;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(Streaming, GivesTheSameBitsAndTouchesNothingElse) {
  on_every_target([] {
    for (const char* const name : {"gelu", "glu", "relu", "bilinear"}) {
      const Unit unit = parse_unit(name);
      for (const std::size_t n : {1U, 7U, 16U, 100U, 255U, 256U, 257U, 700U}) {
        for (const std::size_t offset : {0U, 1U, 5U, 16U}) {
          for (const bool fused : {false, true}) {
            const Threshold never(kNever);
            const Results through = run(unit, 3, n, offset, fused, fused);
            set_streaming_threshold(0);
            const Results past = run(unit, 3, n, offset, fused, fused);
            ASSERT_TRUE(same_bits(through.y, past.y)) << name << " " << n << " " << offset;
            ASSERT_TRUE(same_bits(through.dz, past.dz)) << name << " " << n << " " << offset;
            ASSERT_TRUE(same_bits(through.dbias, past.dbias)) << name << " " << n << " " << offset;
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
