// Norm kernels: float against double on every SIMD target, odd sizes, and a mean that is large
// beside the deviation. Double is held against PyTorch and central differences elsewhere.
#include "sluice/kernels/norm.hpp"

#include "kernels/support.hpp"

namespace sluice::kernels {
namespace {

// The bound norm.hpp states.
constexpr double kBound = 4e-6;

void expect_near(const std::vector<float>& got, const std::vector<double>& want, double bound,
                 const char* what) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(got[i]), want[i], bound * (1.0 + std::abs(want[i])))
        << what << " " << i;
  }
}

std::vector<float> inputs(std::size_t n, double mean) {
  auto x = normal_values<float>(n, 1, 1.0);
  for (float& value : x) value += static_cast<float>(mean);
  return x;
}

TEST(NormRows, FloatMatchesDoubleOnEveryTarget) {
  on_every_target([] {
    for (const std::size_t n : {1U, 3U, 16U, 33U, 512U, 4200U}) {
      for (const std::size_t groups : {1U, 3U}) {
        if (n > 1000 && groups > 1) continue;
        for (const double mean : {0.0, 1e4}) {
          for (const bool centred : {true, false}) {
            for (const bool affine : {true, false}) {
              constexpr std::size_t positions = 3;
              const std::size_t size = positions * groups * n;
              const auto x = inputs(size, mean);
              const auto dy = normal_values<float>(size, 2);
              const auto w = normal_values<float>(groups * n, 3);
              const auto b = normal_values<float>(groups * n, 4);
              const auto wide_x = converted<double>(x), wide_dy = converted<double>(dy),
                         wide_w = converted<double>(w), wide_b = converted<double>(b);
              std::vector<float> y(size), statistics(3 * positions * groups), dx(size),
                  dw(groups * n, 1.0F), db(groups * n, 1.0F);
              std::vector<double> want_y(size), want_statistics(statistics.size()), want_dx(size),
                  want_dw(groups * n, 1.0), want_db(groups * n, 1.0);
              const RowSets sets{positions, groups, n, centred};
              norm_rows_forward(NormRowsForward<float>{y.data(), statistics.data(), x.data(),
                                                       affine ? w.data() : nullptr,
                                                       affine ? b.data() : nullptr, 1e-5},
                                sets);
              norm_rows_forward(
                  NormRowsForward<double>{want_y.data(), want_statistics.data(), wide_x.data(),
                                          affine ? wide_w.data() : nullptr,
                                          affine ? wide_b.data() : nullptr, 1e-5},
                  sets);
              expect_near(y, want_y, kBound, "y");
              norm_rows_backward(
                  NormRowsBackward<float>{dx.data(), affine ? dw.data() : nullptr,
                                          affine ? db.data() : nullptr, dy.data(), x.data(),
                                          statistics.data(), affine ? w.data() : nullptr},
                  sets);
              norm_rows_backward(
                  NormRowsBackward<double>{want_dx.data(), want_dw.data(), want_db.data(),
                                           wide_dy.data(), wide_x.data(), want_statistics.data(),
                                           affine ? wide_w.data() : nullptr},
                  sets);
              // Rows of one element: the gradient is 0, by the difference of numbers that
              // 1/√eps makes large.
              if (n > 1) expect_near(dx, want_dx, n < 16 ? 1e-4 : 2 * kBound, "dx");
              if (!affine) continue;
              expect_near(dw, want_dw, kBound, "dw");
              expect_near(db, want_db, kBound, "db");
              // In place, and without dx, the same.
              auto in_place = dy;
              norm_rows_backward(
                  NormRowsBackward<float>{in_place.data(), nullptr, nullptr, in_place.data(),
                                          x.data(), statistics.data(), w.data()},
                  sets);
              EXPECT_EQ(in_place, dx);
              std::vector<float> again(groups * n, 1.0F);
              norm_rows_backward(NormRowsBackward<float>{nullptr, again.data(), nullptr, dy.data(),
                                                         x.data(), statistics.data(), w.data()},
                                 sets);
              EXPECT_EQ(again, dw);
            }
          }
        }
      }
    }
  });
}

TEST(NormChannels, FloatMatchesDoubleOnEveryTarget) {
  on_every_target([] {
    for (const std::size_t channels : {1U, 33U, 700U}) {
      for (const std::size_t length : {1U, 7U, 131U, 1030U}) {
        if (channels * length > 100000) continue;
        for (const double mean : {0.0, 1e4}) {
          for (const bool last : {true, false}) {
            const ChannelLayout layout{last, channels, length};
            const std::size_t size = channels * length;
            const auto x = inputs(size, mean);
            const auto dy = normal_values<float>(size, 2);
            const auto a = normal_values<float>(channels, 3), b = normal_values<float>(channels, 4),
                       k = normal_values<float>(channels, 5);
            const auto wide_x = converted<double>(x), wide_dy = converted<double>(dy);
            const auto wide_a = converted<double>(a), wide_b = converted<double>(b),
                       wide_k = converted<double>(k);
            std::vector<double> at(channels), m2(channels), want_at(channels), want_m2(channels);
            channel_moments(at.data(), m2.data(), x.data(), layout);
            channel_moments(want_at.data(), want_m2.data(), wide_x.data(), layout);
            for (std::size_t c = 0; c < channels; ++c) {
              // The mean to what rounding one deviation allows, whatever the mean is.
              ASSERT_NEAR(at[c], want_at[c], 1e-6) << "mean " << c;
              ASSERT_NEAR(m2[c], want_m2[c], kBound * want_m2[c] + 1e-12 * mean) << "m2 " << c;
            }
            std::vector<float> shift(channels);
            std::vector<float> scale(channels), offset(channels);
            for (std::size_t c = 0; c < channels; ++c) {
              shift[c] = static_cast<float>(at[c]);
              scale[c] = static_cast<float>(1.0 / std::sqrt(m2[c] / double(length) + 1.0));
              offset[c] = static_cast<float>((double(shift[c]) - at[c]) * double(scale[c]));
            }
            const auto wide_shift = converted<double>(shift), wide_scale = converted<double>(scale),
                       wide_offset = converted<double>(offset);
            std::vector<float> y(size);
            std::vector<double> want(size);
            channel_affine(
                ChannelAffine<float>{y.data(), x.data(), shift.data(), a.data(), b.data()}, layout);
            channel_affine(ChannelAffine<double>{want.data(), wide_x.data(), wide_shift.data(),
                                                 wide_a.data(), wide_b.data()},
                           layout);
            expect_near(y, want, 1e-6, "affine");
            channel_gradient(ChannelGradient<float>{y.data(), dy.data(), x.data(), shift.data(),
                                                    a.data(), b.data(), k.data()},
                             layout);
            channel_gradient(ChannelGradient<double>{want.data(), wide_dy.data(), wide_x.data(),
                                                     wide_shift.data(), wide_a.data(),
                                                     wide_b.data(), wide_k.data()},
                             layout);
            expect_near(y, want, 1e-6, "gradient");
            std::vector<double> sum(channels), product(channels), want_sum(channels),
                want_product(channels);
            channel_sums(ChannelSums<float>{sum.data(), product.data(), dy.data(), x.data(),
                                            shift.data(), scale.data(), offset.data()},
                         layout);
            channel_sums(ChannelSums<double>{want_sum.data(), want_product.data(), wide_dy.data(),
                                             wide_x.data(), wide_shift.data(), wide_scale.data(),
                                             wide_offset.data()},
                         layout);
            const double root = std::sqrt(static_cast<double>(length));
            for (std::size_t c = 0; c < channels; ++c) {
              ASSERT_NEAR(sum[c], want_sum[c], kBound * (root + std::abs(want_sum[c])));
              ASSERT_NEAR(product[c], want_product[c], kBound * (root + std::abs(want_product[c])));
            }
          }
        }
      }
    }
  });
}

// The moments hold, relative to the variance, when the rows' level jumps or one value stands out.
TEST(NormChannels, MomentsOfUnevenDataOnEveryTarget) {
  on_every_target([] {
    constexpr std::size_t channels = 20, length = 1000;
    for (const bool last : {true, false}) {
      for (const std::size_t level : {1U, 8U, 32U, 96U, 700U, 999U}) {
        auto x = normal_values<float>(channels * length, 1);
        for (std::size_t c = 0; c < channels; ++c) {
          for (std::size_t l = level; l < length; ++l) {
            x[last ? l * channels + c : c * length + l] += 3000.0F * static_cast<float>(c);
          }
        }
        const ChannelLayout layout{last, channels, length};
        std::vector<double> mean(channels), m2(channels), want(channels), want_m2(channels);
        channel_moments(mean.data(), m2.data(), x.data(), layout);
        channel_moments(want.data(), want_m2.data(), converted<double>(x).data(), layout);
        for (std::size_t c = 0; c < channels; ++c) {
          EXPECT_NEAR(mean[c], want[c], 1e-6 * std::sqrt(want_m2[c] / double(length)));
          EXPECT_NEAR(m2[c], want_m2[c], kBound * want_m2[c]);
        }
      }
    }
  });
}

// A constant's variance is 0, never below, so that its row is the bias.
TEST(NormRows, ConstantRowsGiveTheBias) {
  on_every_target([] {
    for (const std::size_t n : {1U, 7U, 64U, 1000U}) {
      const std::vector<float> x(n, 12345.678F);
      std::vector<float> y(n), statistics(3);
      norm_rows_forward(
          NormRowsForward<float>{y.data(), statistics.data(), x.data(), nullptr, nullptr, 1e-12},
          {1, 1, n, true});
      for (const float value : y) ASSERT_EQ(value, 0.0F);
    }
  });
}

}  // namespace
}  // namespace sluice::kernels
