// Weight normalisation on every SIMD target.
#include "sluice/kernels/weight_norm.hpp"

#include <cmath>

#include "kernels/support.hpp"

namespace sluice::kernels {
namespace {

template <class T>
struct WeightNorm {
  std::size_t rows, n;
  std::vector<T> v, g, dw;

  WeightNorm(std::size_t rows_, std::size_t n_)
      : rows(rows_),
        n(n_),
        v(converted<T>(normal_values<float>(rows * n, 1))),
        g(converted<T>(normal_values<float>(n, 2))),
        dw(converted<T>(normal_values<float>(rows * n, 3))) {}

  struct Result {
    std::vector<T> w, norm, dv, dg;
    std::vector<double> squares;
  };
  // Only columns [begin, end) are computed; others keep what was there.
  Result solve(std::size_t begin, std::size_t end) const {
    Result r{std::vector<T>(rows * n, T(77)), std::vector<T>(n, T(77)),
             std::vector<T>(rows * n, T(77)), std::vector<T>(n, T(77)), std::vector<double>(n, 77)};
    weight_norm_forward(r.w.data(), r.norm.data(), v.data(), g.data(), {rows, n, begin, end});
    weight_norm_backward(WeightNormGradient<T>{r.dv.data(), r.dg.data(), r.squares.data(),
                                               dw.data(), v.data(), g.data(), r.norm.data()},
                         {rows, n, begin, end});
    return r;
  }
};

TEST(WeightNorm, FloatMatchesDoubleOnEveryTarget) {
  on_every_target([] {
    for (const std::size_t rows : {1U, 3U, 4U, 9U, 500U}) {
      for (const std::size_t n : {1U, 5U, 16U, 37U, 2055U}) {
        if (rows * n > 200000) continue;
        const auto want = WeightNorm<double>(rows, n).solve(0, n);
        const WeightNorm<float> narrow(rows, n);
        const auto whole = narrow.solve(0, n);
        const auto close = [](const std::vector<float>& got, const std::vector<double>& expected) {
          for (std::size_t i = 0; i < got.size(); ++i) {
            ASSERT_NEAR(static_cast<double>(got[i]), expected[i],
                        2e-5 * (1.0 + std::abs(expected[i])));
          }
        };
        // With one row w = ±g, and dv is a difference of equal terms over a norm that may be tiny.
        close(whole.norm, want.norm);
        close(whole.w, want.w);
        close(whole.dg, want.dg);
        if (rows > 1) close(whole.dv, want.dv);

        auto in_place = narrow.dw;
        auto other = whole;
        weight_norm_backward(
            WeightNormGradient<float>{in_place.data(), other.dg.data(), other.squares.data(),
                                      in_place.data(), narrow.v.data(), narrow.g.data(),
                                      whole.norm.data()},
            {rows, n, 0, n});
        ASSERT_EQ(in_place, whole.dv);

        const std::size_t begin = n / 3;
        const std::size_t end = n - n / 4;
        const auto part = narrow.solve(begin, end);
        for (std::size_t i = 0; i < rows * n; ++i) {
          const bool inside = i % n >= begin && i % n < end;
          ASSERT_EQ(part.w[i], inside ? whole.w[i] : 77.0F);
          ASSERT_EQ(part.dv[i], inside ? whole.dv[i] : 77.0F);
        }
        for (std::size_t j = 0; j < n; ++j) {
          const bool inside = j >= begin && j < end;
          ASSERT_EQ(part.norm[j], inside ? whole.norm[j] : 77.0F);
          ASSERT_EQ(part.dg[j], inside ? whole.dg[j] : 77.0F);
          // Summed in order of rows, whatever the vector's length and wherever strips begin.
          double squares = 0;
          for (std::size_t r = 0; r < rows; ++r) {
            const auto value = static_cast<double>(whole.dv[r * n + j]);
            squares += value * value;
          }
          ASSERT_EQ(whole.squares[j], squares);
          ASSERT_EQ(part.squares[j], inside ? squares : 77.0);
        }
      }
    }
  });
}

// Central differences of Σ dw · w in float64, step 1e-6: error about 1e-9.
TEST(WeightNorm, DerivativesMatchCentralDifferences) {
  WeightNorm<double> p(5, 7);
  const auto result = p.solve(0, p.n);
  const auto objective = [&] {
    const auto w = p.solve(0, p.n).w;
    double sum = 0.0;
    for (std::size_t i = 0; i < w.size(); ++i) sum += p.dw[i] * w[i];
    return sum;
  };
  const auto slope = [&](double& at) {
    const double before = at;
    at = before + 1e-6;
    const double above = objective();
    at = before - 1e-6;
    const double below = objective();
    at = before;
    return (above - below) / 2e-6;
  };
  for (std::size_t j = 0; j < p.n; ++j) {
    EXPECT_NEAR(result.dg[j], slope(p.g[j]), 1e-7);
    double square = 0.0;
    for (std::size_t r = 0; r < p.rows; ++r) {
      EXPECT_NEAR(result.dv[r * p.n + j], slope(p.v[r * p.n + j]), 1e-7);
      square += result.w[r * p.n + j] * result.w[r * p.n + j];
    }
    EXPECT_NEAR(std::sqrt(square), std::abs(p.g[j]), 1e-12);
  }
}

TEST(WeightNorm, ColumnNormsAreSummedInDouble) {
  for (const std::size_t rows : {0U, 1U, 9U, 500U}) {
    for (const std::size_t n : {1U, 5U, 1030U}) {
      if (rows * n > 100000) continue;
      const auto v = normal_values<float>(rows * n, 4);
      const auto wide = converted<double>(v);
      std::vector<float> got(n, 77);
      std::vector<double> got_wide(n, 77);
      const ColumnRange most{rows, n, 0, n - n / 4};
      column_norms(got.data(), v.data(), most);
      column_norms(got_wide.data(), wide.data(), most);
      for (std::size_t j = 0; j < n; ++j) {
        double squares = 0;
        for (std::size_t r = 0; r < rows; ++r) squares += wide[r * n + j] * wide[r * n + j];
        EXPECT_EQ(got[j], j < most.end ? static_cast<float>(std::sqrt(squares)) : 77.0F);
        EXPECT_EQ(got_wide[j], j < most.end ? std::sqrt(squares) : 77.0);
      }
    }
  }
}

}  // namespace
}  // namespace sluice::kernels
