// PReLU, swish, RReLU and maxout: float against double on every SIMD target.
#include "sluice/kernels/layer_units.hpp"

#include "kernels/support.hpp"

namespace sluice::kernels {
namespace {

constexpr std::size_t kColumns[] = {0, 1, 3, 4, 15, 16, 17, 64, 203};
constexpr std::size_t kRows = 5;

void expect_close(const std::vector<float>& got, const std::vector<double>& want, double tolerance,
                  const char* what) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(got[i]), want[i], tolerance * (1 + std::abs(want[i])))
        << what << " at " << i;
  }
  for (std::size_t i = want.size(); i < got.size(); ++i) ASSERT_EQ(got[i], 77.0F) << what;
}

template <class T>
using ForwardKernel = void (*)(const LearnedForward<T>&, std::size_t, std::size_t);
template <class T>
using BackwardKernel = void (*)(const LearnedBackward<T>&, std::size_t, std::size_t);

void expect_float_follows_double(ForwardKernel<float> forward, ForwardKernel<double> forward_wide,
                                 BackwardKernel<float> backward,
                                 BackwardKernel<double> backward_wide) {
  for (const std::size_t n : kColumns) {
    const auto x = normal_values<float>(kRows * n, 1, 3.0);
    const auto dy = normal_values<float>(kRows * n, 2);
    const auto parameter = normal_values<float>(n, 3);
    const auto wide_x = converted<double>(x), wide_dy = converted<double>(dy),
               wide_parameter = converted<double>(parameter);
    std::vector<double> y(kRows * n), dx(kRows * n), sums(n, 0.5);
    forward_wide({y.data(), wide_x.data(), wide_parameter.data()}, kRows, n);
    backward_wide({dx.data(), sums.data(), wide_dy.data(), wide_x.data(), wide_parameter.data()},
                  kRows, n);
    on_every_target([&] {
      std::vector<float> got(kRows * n + 8, 77.0F), got_dx(kRows * n + 8, 77.0F),
          got_sums(n + 8, 77.0F);
      std::fill_n(got_sums.begin(), n, 0.5F);
      forward({got.data(), x.data(), parameter.data()}, kRows, n);
      backward({got_dx.data(), got_sums.data(), dy.data(), x.data(), parameter.data()}, kRows, n);
      expect_close(got, y, 1e-6, "y");
      expect_close(got_dx, dx, 2e-6, "dx");
      expect_close(got_sums, sums, 4e-6, "sums");
      auto in_place = dy;
      backward({in_place.data(), nullptr, in_place.data(), x.data(), parameter.data()}, kRows, n);
      for (std::size_t i = 0; i < in_place.size(); ++i) ASSERT_EQ(in_place[i], got_dx[i]);
      in_place = x;
      forward({in_place.data(), in_place.data(), parameter.data()}, kRows, n);
      for (std::size_t i = 0; i < in_place.size(); ++i) ASSERT_EQ(in_place[i], got[i]);
    });
  }
}

TEST(LayerUnits, PreluFollowsDouble) {
  expect_float_follows_double(prelu_forward, prelu_forward, prelu_backward, prelu_backward);
}

TEST(LayerUnits, SwishFollowsDouble) {
  expect_float_follows_double(swish_forward, swish_forward, swish_backward, swish_backward);
}

TEST(LayerUnits, SwishFarOut) {
  on_every_target([] {
    constexpr float inf = std::numeric_limits<float>::infinity();
    const float x[] = {-inf, inf, -150, 150, 1e30F, -1e30F, 0};
    const float ones[] = {1, 1, 1, 1, 1, 1, 1};
    const float minus[] = {-1, -1, -1, -1, -1, -1, -1};
    const float want[] = {0, inf, 0, 150, 1e30F, 0, 0};
    const float mirrored[] = {-inf, 0, -150, 0, 0, -1e30F, 0};
    float y[7], dx[7], dbeta[7] = {};
    swish_forward(LearnedForward<float>{y, x, ones}, 1, 7);
    for (int i = 0; i < 7; ++i) EXPECT_EQ(y[i], want[i]) << i;
    swish_forward(LearnedForward<float>{y, x, minus}, 1, 7);
    for (int i = 0; i < 7; ++i) EXPECT_EQ(y[i], mirrored[i]) << i;
    swish_backward(LearnedBackward<float>{dx, dbeta, ones, x, ones}, 1, 7);
    for (int i = 0; i < 7; ++i) {
      EXPECT_TRUE(std::isfinite(dx[i]) && std::isfinite(dbeta[i])) << i;
    }
  });
}

TEST(LayerUnits, RreluDrawsTheNumbersOfItsKey) {
  const RandomKey key{9, 4, 2};
  for (const std::size_t n : {0U, 1U, 5U, 16U, 131U, 1000U}) {
    for (const std::uint64_t offset : {0U, 3U, 64U}) {
      const auto x = normal_values<float>(n, 1), v = normal_values<float>(n, 2);
      const auto wide_x = converted<double>(x), wide_v = converted<double>(v);
      std::vector<double> want(n);
      rrelu(want.data(), wide_v.data(), wide_x.data(), n, {0.1F, 0.4F, key, offset});
      for (std::size_t i = 0; i < n; ++i) {
        const double slope = want[i] / wide_v[i];
        if (x[i] > 0) {
          EXPECT_EQ(slope, 1);
        } else {
          EXPECT_NEAR(slope, 0.1 + 0.3 * static_cast<double>(key.uniform(offset + i)), 1e-7);
        }
      }
      on_every_target([&] {
        std::vector<float> got(n + 8, 77.0F);
        rrelu(got.data(), v.data(), x.data(), n, {0.1F, 0.4F, key, offset});
        expect_close(got, want, 1e-7, "rrelu");
      });
    }
  }
}

TEST(LayerUnits, MaxoutPicksTheFirstGreatest) {
  for (const std::size_t n : {1U, 7U, 16U, 33U}) {
    for (const std::size_t k : {2U, 3U, 5U}) {
      auto z = normal_values<float>(kRows * n * k, 1);
      // Coarse values, so that there are ties.
      for (float& each : z) each = std::round(each);
      const auto dy = normal_values<float>(kRows * n, 2);
      const auto wide_z = converted<double>(z), wide_dy = converted<double>(dy);
      std::vector<double> y(kRows * n), dz(kRows * n * k);
      maxout_forward(y.data(), wide_z.data(), {kRows, n, k});
      maxout_backward(dz.data(), wide_dy.data(), wide_z.data(), {kRows, n, k});
      for (std::size_t r = 0; r < kRows; ++r) {
        for (std::size_t j = 0; j < n; ++j) {
          std::size_t winner = 0;
          for (std::size_t i = 0; i < k; ++i) {
            if (z[(r * k + i) * n + j] > z[(r * k + winner) * n + j]) winner = i;
          }
          EXPECT_EQ(y[r * n + j], wide_z[(r * k + winner) * n + j]);
          for (std::size_t i = 0; i < k; ++i) {
            EXPECT_EQ(dz[(r * k + i) * n + j], i == winner ? wide_dy[r * n + j] : 0.0);
          }
        }
      }
      on_every_target([&] {
        std::vector<float> got(kRows * n + 8, 77.0F), got_dz(kRows * n * k + 8, 77.0F);
        maxout_forward(got.data(), z.data(), {kRows, n, k});
        maxout_backward(got_dz.data(), dy.data(), z.data(), {kRows, n, k});
        expect_close(got, y, 0, "y");
        expect_close(got_dz, dz, 0, "dz");
      });
    }
  }
}

TEST(LayerUnits, NanStaysAtItsPlace) {
  on_every_target([] {
    constexpr std::size_t n = 19, at = 5;
    auto x = normal_values<float>(2 * n, 1);
    x[at] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> ones(2 * n, 1.0F);
    std::vector<float> y(n), dx(n);
    const auto check = [&](const std::vector<float>& values) {
      for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(std::isnan(values[i]), i == at) << i;
    };
    prelu_forward(LearnedForward<float>{y.data(), x.data(), ones.data()}, 1, n);
    check(y);
    prelu_backward(LearnedBackward<float>{dx.data(), nullptr, ones.data(), x.data(), ones.data()},
                   1, n);
    check(dx);
    swish_forward(LearnedForward<float>{y.data(), x.data(), ones.data()}, 1, n);
    check(y);
    swish_backward(LearnedBackward<float>{dx.data(), nullptr, ones.data(), x.data(), ones.data()},
                   1, n);
    check(dx);
    rrelu(y.data(), x.data(), x.data(), n, {0.1F, 0.2F, {}});
    check(y);
    maxout_forward(y.data(), x.data(), {1, n, 2});
    check(y);
    std::swap(x[at], x[n + at]);
    maxout_forward(y.data(), x.data(), {1, n, 2});
    check(y);
  });
}

}  // namespace
}  // namespace sluice::kernels
