#pragma once
// Errors of float kernels against the bounds that unit_info() states.

#include "kernels/support.hpp"
#include "sluice/kernels/unit_info.hpp"

namespace sluice::kernels {

/// The greatest error seen among those not excused by a bound's absolute or relative part, and the
/// greatest absolute error of all.
struct Worst {
  double ulp = 0, absolute = 0;
  float at = 0, got = 0;
  double want = 0;

  void see(const ErrorBound& bound, float x, float y, double exact) {
    const double error = std::abs(static_cast<double>(y) - exact);
    if (std::isfinite(error)) absolute = std::max(absolute, error);
    if (error <= static_cast<double>(bound.absolute)) return;
    if (x <= -1 && error <= static_cast<double>(bound.relative_below) * std::abs(exact)) return;
    see_ulp(ulp_error(y, exact), x, y, exact);
  }
  void see(const Worst& other) {
    absolute = std::max(absolute, other.absolute);
    see_ulp(other.ulp, other.at, other.got, other.want);
  }

 private:
  void see_ulp(double error, float x, float y, double exact) {
    if (error <= ulp) return;
    ulp = error;
    at = x;
    got = y;
    want = exact;
  }
};

/// What unit_infos() says of activations.
inline std::vector<UnitInfo> activation_infos() {
  std::vector<UnitInfo> infos;
  for (const UnitInfo& info : unit_infos()) {
    if (info.kind == UnitKind::activation) infos.push_back(info);
  }
  return infos;
}

}  // namespace sluice::kernels
