#include "sluice/lab/compare/curves.hpp"

#include <algorithm>

namespace sluice {
namespace {

bool same_places(const std::vector<Curve>& curves) {
  const auto same = [](const XY& a, const XY& b) { return a.x == b.x; };
  return std::all_of(curves.begin(), curves.end(), [&](const Curve& curve) {
    return std::equal(curve.begin(), curve.end(), curves.front().begin(), curves.front().end(),
                      same);
  });
}

/// Places evenly spaced over the range that all curves share; none where there is no such range.
std::vector<double> shared_places(const std::vector<Curve>& curves) {
  constexpr int count = 100;
  double first = curves.front().front().x;
  double last = curves.front().back().x;
  for (const Curve& curve : curves) {
    first = std::max(first, curve.front().x);
    last = std::min(last, curve.back().x);
  }
  std::vector<double> x;
  for (int i = 0; i < count && first <= last; ++i) {
    x.push_back(first + (last - first) * i / (count - 1));
  }
  return x;
}

}  // namespace

double value_at(const Curve& curve, double x) {
  const auto after = std::lower_bound(curve.begin(), curve.end(), x,
                                      [](const XY& point, double at) { return point.x < at; });
  if (after == curve.begin()) return curve.front().y;
  if (after == curve.end()) return curve.back().y;
  const XY& left = *(after - 1);
  const double share = (x - left.x) / (after->x - left.x);
  return left.y + share * (after->y - left.y);
}

Band band_of(const std::vector<Curve>& curves, double confidence) {
  Band band;
  if (curves.empty()) return band;
  for (const Curve& curve : curves) {
    if (curve.empty()) return band;
  }
  const auto add = [&](double x, const auto& y_of) {
    std::vector<double> values;
    values.reserve(curves.size());
    for (const Curve& curve : curves) values.push_back(y_of(curve));
    band.x.push_back(x);
    band.mean.push_back(mean(values));
    if (values.size() < 2) return;
    const Interval interval = mean_interval(values, confidence);
    band.low.push_back(interval.low);
    band.high.push_back(interval.high);
  };
  const bool same = same_places(curves);
  if (!same) {
    for (const double x : shared_places(curves)) {
      add(x, [&](const Curve& curve) { return value_at(curve, x); });
    }
    if (!band.x.empty()) return band;
  }
  std::size_t points = curves.front().size();
  for (const Curve& curve : curves) points = std::min(points, curve.size());
  for (std::size_t i = 0; i < points; ++i) {
    std::vector<double> x;
    x.reserve(curves.size());
    for (const Curve& curve : curves) x.push_back(curve[i].x);
    // Of equal places the mean is the place itself, whatever their sum is rounded to.
    add(same ? x.front() : mean(x), [&](const Curve& curve) { return curve[i].y; });
  }
  return band;
}

}  // namespace sluice
