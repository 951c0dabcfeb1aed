#pragma once
// Curves of several seeds as one, with a band.

#include <vector>

#include "sluice/lab/compare/statistics.hpp"

namespace sluice {

struct XY {
  double x = 0, y = 0;
};
/// Points in order of x.
using Curve = std::vector<XY>;

/// y at x on straight lines between the points; the first or last one's outside of them. The curve
/// must not be empty.
double value_at(const Curve& curve, double x);

/// The mean of curves over x, and the intervals of the mean: without any (empty) for one curve.
struct Band {
  std::vector<double> x, mean, low, high;
};

/// Curves with the same x are averaged there; others at 100 places evenly spread over the range
/// they share, straight lines between their points. Empty when there is no such range.
Band band_of(const std::vector<Curve>& curves, double confidence = default_confidence);

}  // namespace sluice
