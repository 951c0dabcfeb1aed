#pragma once
// Averaging the curves of several seeds, with a confidence band.

#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/lab/compare/statistics.hpp"

SLUICE_API_BEGIN
namespace sluice {

struct XY {
  double x = 0, y = 0;
};
/// Points in order of x.
using Curve = std::vector<XY>;

/// y at x by linear interpolation; outside the curve, that of its first or last point. The curve
/// must not be empty.
double value_at(const Curve& curve, double x);

/// The mean of curves over x and the intervals of the mean, which are empty for a single curve.
struct Band {
  std::vector<double> x, mean, low, high;
};

/// Curves that share all x are averaged there; others are interpolated linearly at 100 points
/// evenly spaced over the range that they share. Where there is no such range (of times, when
/// another program delayed a whole run), the curves' first points are averaged, their second ones
/// and so on, x too. Empty when a curve is.
Band band_of(const std::vector<Curve>& curves, double confidence = default_confidence);

}  // namespace sluice
SLUICE_API_END
