// The matrices of Toom-Cook convolution, in exact rational arithmetic.
#include "sluice/kernels/detail/toom_cook.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <numeric>
#include <span>
#include <string>
#include <utility>

#include "sluice/base/error.hpp"

namespace sluice::kernels {
namespace {

/// A fraction in lowest terms, its denominator positive. 64 bits hold every product that occurs
/// with kMostPoints points.
struct Fraction {
  std::int64_t over = 0;
  std::int64_t under = 1;

  double value() const { return static_cast<double>(over) / static_cast<double>(under); }
};

Fraction reduced(std::int64_t over, std::int64_t under) {
  const std::int64_t common = std::max<std::int64_t>(1, std::gcd(over, under));
  const std::int64_t sign = under < 0 ? -1 : 1;
  return {sign * over / common, sign * under / common};
}
Fraction operator*(Fraction a, Fraction b) { return reduced(a.over * b.over, a.under * b.under); }
Fraction operator/(Fraction a, Fraction b) { return reduced(a.over * b.under, a.under * b.over); }
Fraction operator-(Fraction a, Fraction b) {
  return reduced(a.over * b.under - b.over * a.under, a.under * b.under);
}

/// The finite points for n - 1 = 2, 3, .. of them, and the error bounds for n points.
struct Points {
  std::vector<Fraction> finite;
  double error;
};
const std::array<Points, kMostPoints - kLeastPoints + 1>& points_table() {
  static const std::array<Points, kMostPoints - kLeastPoints + 1> table = {{
      {{{0}, {1}}, 6e-7},
      {{{0}, {1}, {-1}}, 6e-7},
      {{{0}, {1}, {-1}, {2}}, 1.2e-6},
      {{{0}, {1}, {-1}, {1, 2}, {-2}}, 1.2e-6},
      {{{0}, {1}, {-1}, {-1, 2}, {-2}, {3, 2}}, 1.7e-6},
      {{{0}, {1}, {-1}, {1, 2}, {-1, 2}, {2}, {-2}}, 2e-6},
      {{{0}, {1}, {-1}, {1, 2}, {2}, {-1, 4}, {-4}, {-2, 3}}, 4.5e-6},
      {{{0}, {1}, {-1}, {1, 2}, {-2}, {-1, 4}, {4}, {3, 2}, {-2, 3}}, 6e-6},
  }};
  return table;
}

const Points& points_for(int n) {
  return points_table().at(static_cast<std::size_t>(n - kLeastPoints));
}

/// The coefficients of Π (x - p), lowest power first.
std::vector<Fraction> monic(std::span<const Fraction> roots) {
  std::vector<Fraction> coefficients = {{1}};
  for (const Fraction root : roots) {
    coefficients.insert(coefficients.begin(), Fraction{0});  // times x
    for (std::size_t i = 0; i + 1 < coefficients.size(); ++i) {
      coefficients[i] = coefficients[i] - root * coefficients[i + 1];
    }
  }
  return coefficients;
}

ToomCook make(int tile, int kernel) {
  ToomCook made{tile, kernel, {}, {}, {}};
  const auto n = static_cast<std::size_t>(made.points());
  const auto m = static_cast<std::size_t>(tile);
  const auto r = static_cast<std::size_t>(kernel);
  made.input.assign(n * n, 0.0);
  made.filter.assign(n * r, 0.0);
  made.output.assign(m * n, 0.0);
  const std::vector<Fraction>& points = points_for(made.points()).finite;
  for (std::size_t i = 0; i < n; ++i) {
    const bool infinite = i + 1 == n;
    std::vector<Fraction> others = points;
    Fraction scale{1};  // N_i(p_i)
    if (!infinite) {
      others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
      for (const Fraction other : others) scale = scale * (points[i] - other);
    }
    const std::vector<Fraction> row = monic(others);
    for (std::size_t j = 0; j < row.size(); ++j) made.input[i * n + j] = row[j].value();
    if (infinite) {
      made.filter[i * r + r - 1] = 1;
      made.output[(m - 1) * n + i] = 1;
      continue;
    }
    Fraction power{1};
    for (std::size_t k = 0; k < std::max(m, r); ++k, power = power * points[i]) {
      if (k < r) made.filter[i * r + k] = (power / scale).value();
      if (k < m) made.output[k * n + i] = power.value();
    }
  }
  return made;
}

}  // namespace

const ToomCook& toom_cook(int tile, int kernel) {
  const int n = tile + kernel - 1;
  if (tile < 2 || kernel < 2 || n < kLeastPoints || n > kMostPoints) {
    throw UsageError("fast convolution: tile " + std::to_string(tile) + " with kernel " +
                     std::to_string(kernel) +
                     " is not supported; both must be at least 2 and their sum at most " +
                     std::to_string(kMostPoints + 1));
  }
  static std::mutex mutex;
  static std::map<std::pair<int, int>, ToomCook> made;
  const std::lock_guard guard(mutex);
  const auto found = made.find({tile, kernel});
  if (found != made.end()) return found->second;
  return made.emplace(std::pair(tile, kernel), make(tile, kernel)).first->second;
}

double toom_cook_error(int points) { return points_for(points).error; }

}  // namespace sluice::kernels
