// unit_forward, unit_backward and their activation forms: float against double on every SIMD
// target, and double's derivatives against central differences.
#include <cstring>

#include "kernels/support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/fused_units.hpp"

namespace sluice::kernels {
namespace {

// A problem of one shape. Pitches leave gaps, and `shift` moves every array off its alignment.
template <class T>
struct Problem {
  std::size_t rows, n, inputs, pitch;
  std::vector<T> z, bias, residual, dy;
  T scale = T(0.75);

  Problem(const Unit& unit, std::size_t rows_, std::size_t n_, std::size_t gap)
      : rows(rows_),
        n(n_),
        inputs(static_cast<std::size_t>(unit.inputs(static_cast<std::int64_t>(n_)))),
        pitch(inputs + gap) {
    // Values pass through float, so that both precisions solve the same problem.
    z = converted<T>(normal_values<float>(rows * pitch, 1, 2.0));
    bias = converted<T>(normal_values<float>(inputs, 2));
    residual = converted<T>(normal_values<float>(rows * n, 3));
    dy = converted<T>(normal_values<float>(rows * n, 4));
  }
};

template <class T>
struct Result {
  std::vector<T> y, dz, dbias;
};

constexpr int kUntouched = 77;

template <class T>
Result<T> solve(const Problem<T>& p, const Unit& unit, bool with_bias, bool with_residual,
                std::size_t shift) {
  const auto shifted = [shift](const std::vector<T>& from) {
    std::vector<T> to(from.size() + shift);
    std::copy(from.begin(), from.end(), to.begin() + static_cast<std::ptrdiff_t>(shift));
    return to;
  };
  const auto z = shifted(p.z);
  const auto bias = shifted(p.bias);
  const auto residual = shifted(p.residual);
  const auto dy = shifted(p.dy);
  std::vector<T> y(p.rows * p.n + shift + 8, T(kUntouched));
  std::vector<T> dz(p.rows * p.pitch + shift + 8, T(kUntouched));
  std::vector<T> dbias(p.inputs + shift + 8, T(kUntouched));
  std::fill_n(dbias.begin() + static_cast<std::ptrdiff_t>(shift), p.inputs, T(0.5));
  const T* const bias_or_null = with_bias ? bias.data() + shift : nullptr;
  unit_forward(UnitForward<T>{y.data() + shift, z.data() + shift, p.pitch, bias_or_null,
                              with_residual ? residual.data() + shift : nullptr, p.scale},
               p.rows, p.n, unit);
  unit_backward(
      UnitBackward<T>{dz.data() + shift, p.pitch, with_bias ? dbias.data() + shift : nullptr,
                      dy.data() + shift, z.data() + shift, p.pitch, bias_or_null, p.scale},
      p.rows, p.n, unit);
  // Nothing outside the results is written: before them, behind them, between their rows.
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(y[shift + p.rows * p.n + i], T(kUntouched));
    EXPECT_EQ(dbias[shift + p.inputs + i], T(kUntouched));
  }
  for (std::size_t i = 0; i < dz.size() - shift; ++i) {
    if (i >= p.rows * p.pitch || i % p.pitch >= p.inputs) {
      EXPECT_EQ(dz[shift + i], T(kUntouched));
    }
  }
  for (std::size_t i = 0; i < shift; ++i) {
    EXPECT_EQ(y[i], T(kUntouched));
    EXPECT_EQ(dz[i], T(kUntouched));
    EXPECT_EQ(dbias[i], T(kUntouched));
  }
  const auto unshifted = [shift](std::vector<T> from, std::size_t size) {
    from.erase(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(shift));
    from.resize(size);
    return from;
  };
  return {unshifted(y, p.rows * p.n), unshifted(dz, p.rows * p.pitch), unshifted(dbias, p.inputs)};
}

// Float against double: a few units in the last place of the size of what was added up.
void expect_close(const std::vector<float>& got, const std::vector<double>& want, double tolerance,
                  const char* what) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(got[i]), want[i], tolerance * (1.0 + std::abs(want[i])))
        << what << " at " << i;
  }
}

TEST(Units, FloatMatchesDoubleOnEveryTarget) {
  on_every_target([] {
    for (const Unit& unit : all_units()) {
      SCOPED_TRACE(unit_name(unit));
      for (const std::size_t n : {0U, 1U, 3U, 4U, 15U, 16U, 17U, 64U, 1003U}) {
        const std::size_t rows = n > 100 ? 3 : 5;
        const std::size_t gap = n % 3;
        const Problem<double> wide(unit, rows, n, gap);
        const Problem<float> narrow(unit, rows, n, gap);
        for (const bool with_bias : {false, true}) {
          const bool with_residual = with_bias != (n % 2 == 0);
          const std::size_t shift = n % 2;
          const auto want = solve(wide, unit, with_bias, with_residual, shift);
          const auto got = solve(narrow, unit, with_bias, with_residual, shift);
          expect_close(got.y, want.y, 2e-6, "y");
          expect_close(got.dz, want.dz, 4e-6, "dz");
          if (with_bias) expect_close(got.dbias, want.dbias, 8e-6, "dbias");
        }
      }
    }
  });
}

// Central differences of Σ dy · y in float64, step 1e-5: truncation about 1e-10, rounding 1e-10.
TEST(Units, DerivativesMatchCentralDifferences) {
  constexpr double step = 1e-5;
  for (const Unit& unit : all_units()) {
    SCOPED_TRACE(unit_name(unit));
    Problem<double> p(unit, 4, 11, 1);
    const auto result = solve(p, unit, true, true, 0);
    const auto objective = [&] {
      std::vector<double> y(p.rows * p.n);
      unit_forward(UnitForward<double>{y.data(), p.z.data(), p.pitch, p.bias.data(),
                                       p.residual.data(), p.scale},
                   p.rows, p.n, unit);
      double sum = 0.0;
      for (std::size_t i = 0; i < y.size(); ++i) sum += p.dy[i] * y[i];
      return sum;
    };
    const auto slope = [&](double& at) {
      const double before = at;
      at = before + step;
      const double above = objective();
      at = before - step;
      const double below = objective();
      at = before;
      return (above - below) / (2 * step);
    };
    for (std::size_t r = 0; r < p.rows; ++r) {
      for (std::size_t j = 0; j < p.inputs; ++j) {
        const double at = p.z[r * p.pitch + j] + p.bias[j];
        for (const double kink : {0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 6.0}) {
          ASSERT_GT(std::abs(std::abs(at) - kink), 2 * step) << "a sample on a kink proves nothing";
        }
        EXPECT_NEAR(result.dz[r * p.pitch + j], slope(p.z[r * p.pitch + j]), 1e-8);
      }
    }
    for (std::size_t j = 0; j < p.inputs; ++j) {
      EXPECT_NEAR(result.dbias[j] - 0.5, slope(p.bias[j]), 1e-8);  // it was 0.5 before
    }
  }
}

TEST(Units, OutputsMayBeInputs) {
  on_every_target([] {
    for (const Unit& unit : all_units()) {
      SCOPED_TRACE(unit_name(unit));
      const Problem<float> p(unit, 3, 37, 2);
      const auto apart = solve(p, unit, true, true, 0);

      auto y = p.residual;
      unit_forward(
          UnitForward<float>{y.data(), p.z.data(), p.pitch, p.bias.data(), y.data(), p.scale},
          p.rows, p.n, unit);
      EXPECT_EQ(y, apart.y);

      auto z = p.z;
      unit_backward(UnitBackward<float>{z.data(), p.pitch, nullptr, p.dy.data(), z.data(), p.pitch,
                                        p.bias.data(), p.scale},
                    p.rows, p.n, unit);
      for (std::size_t i = 0; i < z.size(); ++i) {
        EXPECT_EQ(z[i], i % p.pitch < p.inputs ? apart.dz[i] : p.z[i]);
      }
    }
  });
}

TEST(Units, ActivationsInPlace) {
  on_every_target([] {
    const auto x = normal_values<float>(101, 1, 3.0);
    const auto dy = normal_values<float>(101, 2);
    for (const Unit& unit : all_units()) {
      if (unit.gated) continue;
      SCOPED_TRACE(unit_name(unit));
      std::vector<float> apart(x.size());
      const auto& p = unit.f_parameters;
      activation_forward(apart.data(), x.data(), x.size(), unit.f, p);
      auto y = x;
      activation_forward(y.data(), y.data(), y.size(), unit.f, p);
      EXPECT_EQ(y, apart);

      activation_backward(apart.data(), dy.data(), x.data(), x.size(), unit.f, p);
      auto over_dy = dy;
      activation_backward(over_dy.data(), over_dy.data(), x.data(), x.size(), unit.f, p);
      EXPECT_EQ(over_dy, apart);
      auto over_x = x;
      activation_backward(over_x.data(), dy.data(), over_x.data(), x.size(), unit.f, p);
      EXPECT_EQ(over_x, apart);
    }
  });
}

// What gives sums over rows their reproducibility: row after row, on every target alike.
TEST(Units, BiasGradientDoesNotDependOnTheTarget) {
  const Unit unit = parse_unit("bilinear");
  const Problem<float> p(unit, 100, 21, 0);
  std::vector<float> first;
  on_every_target([&] {
    const auto result = solve(p, unit, true, false, 0);
    if (first.empty()) first = result.dbias;
    EXPECT_EQ(std::memcmp(first.data(), result.dbias.data(), first.size() * sizeof(float)), 0);
  });
}

TEST(Units, NanAndInfinityDoNotSpread) {
  on_every_target([] {
    for (const Unit& unit : all_units()) {
      SCOPED_TRACE(unit_name(unit));
      constexpr std::size_t n = 19;
      Problem<float> p(unit, 2, n, 0);
      p.z[n - 2] = std::numeric_limits<float>::quiet_NaN();
      p.z[p.pitch + 3] = 150.0F;
      p.z[p.pitch + 4] = -150.0F;
      const auto result = solve(p, unit, true, false, 0);
      for (std::size_t i = 0; i < result.y.size(); ++i) {
        EXPECT_EQ(std::isnan(result.y[i]), i == n - 2) << i;
      }
      for (std::size_t i = p.pitch; i < result.dz.size(); ++i) {
        EXPECT_TRUE(std::isfinite(result.dz[i])) << i;
      }
    }
  });
}

TEST(Units, GatesWithoutKernelsAreRefused) {
  const Unit unit{Activation::gelu, Activation::tanh, true};
  float value[2] = {0.0F, 0.0F};
  const UnitForward<float> forward{value, value, 2};
  EXPECT_THROW(unit_forward(forward, 1, 1, unit), UsageError);
  const UnitBackward<float> backward{value, 2, nullptr, value, value, 2};
  EXPECT_THROW(unit_backward(backward, 1, 1, unit), UsageError);
}

}  // namespace
}  // namespace sluice::kernels
