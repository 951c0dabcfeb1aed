#pragma once
// Curves of units for pictures: values and derivatives as the double kernels compute them, with
// jumps, kinks and flat stretches found.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/kernels/unit_info.hpp"

SLUICE_API_BEGIN
namespace sluice {

struct PlotPoint {
  double x = 0, y = 0;
};

/// y over x in straight strokes. A new stroke begins where y jumps.
struct UnitCurve {
  std::string label;
  std::vector<std::vector<PlotPoint>> strokes = {};
  /// Ends of strokes at a jump: the value there is on the first list, the other limit on the
  /// second.
  std::vector<PlotPoint> closed = {}, open = {};
  /// Where the slope jumps.
  std::vector<PlotPoint> kinks = {};
};

/// One coordinate system.
struct UnitPanel {
  std::string x_label, y_label;
  double x_least = 0, x_most = 0, y_least = 0, y_most = 0;
  std::vector<UnitCurve> curves = {};
  /// Stretches of x where the derivative is less than flat_slope in magnitude; of a unit of one
  /// number with one curve for the value and one for the derivative.
  std::vector<std::pair<double, double>> flat = {};
};

/// |derivative| below which a unit counts as saturated.
inline constexpr double flat_slope = 0.01;

/// Panels in rows of `columns`.
struct UnitPicture {
  std::string title;
  int columns = 1;
  std::vector<UnitPanel> panels;
};

/// The picture that explains a unit:
///   activation  value and derivative in one panel, at the parameters that its name gives
///   gate        value, ∂/∂a and ∂/∂b, in one row over a at some fixed b, in another over b at some
///               fixed a; curves that do not depend on what is fixed are one
///   layer       for a unit with a slope: value and derivative at some slopes; for one that reads
///               several channels: value and its derivatives over one channel, the other fixed
/// Throws UsageError when `info` names no unit.
UnitPicture unit_picture(const UnitInfo& info);

/// Samples f over [least, most] at multiples of 1/64 (both ends must be such multiples). Jumps are
/// located to within 1e-6; kinks are not looked for.
UnitCurve trace_curve(std::string label, const std::function<double(double)>& f, double least,
                      double most);

/// Removes points that lie within `tolerance` (along y) of the lines between the remaining points
/// (Douglas & Peucker 1973).
void thin_curve(UnitCurve& curve, double tolerance);

}  // namespace sluice
SLUICE_API_END
