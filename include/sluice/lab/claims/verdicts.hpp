#pragma once
// Whether an effect is what a claim says it is: intervals, and what may be concluded from them.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"
#include "sluice/lab/compare/statistics.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What a claim says about an effect: it lies below a threshold, above it, or closer to no effect
/// than the threshold.
enum class Expect : std::uint8_t { less, greater, within };
/// "less", "greater", "within".
const EnumNames<Expect>& enum_names(Expect);

enum class ClaimVerdict : std::uint8_t {
  holds,
  fails,
  inconclusive,
  /// There is no effect as large as the part's bound, in either direction.
  equal
};
/// "holds", "fails", "inconclusive", "equal".
const EnumNames<ClaimVerdict>& enum_names(ClaimVerdict);

/// How the sides of a claim are compared.
enum class EffectKind : std::uint8_t {
  /// Mean of a - b over pairs (of a alone, when there is no b), by Student's t; or another
  /// Statistic of it.
  difference,
  /// Geometric mean of a / b over pairs, by Student's t on ln(a / b); or another Statistic.
  ratio,
  /// For values that are 0 or 1, where Student's t does not apply: share of a minus share of b. The
  /// interval combines the squared distances to the limits of each share (Newcombe 1998, method
  /// 10), computed exactly; for a alone it is the exact interval.
  share,
};
/// "difference", "ratio", "share".
const EnumNames<EffectKind>& enum_names(EffectKind);

/// An effect and its confidence intervals.
struct Effect {
  EffectKind kind = EffectKind::difference;
  /// Values per side; 0: no interval could be computed.
  std::size_t n = 0;
  /// Means of both sides (geometric ones for a ratio); b: NaN when there is none.
  double a = 0, b = 0;
  double effect = 0;
  /// At Estimation::confidence. A part holds when this lies on the claimed side.
  Interval interval;
  /// At 1 - (1 - confidence) / parts. A part fails when this lies on the other side: one
  /// failing part is enough for the claim to fail, so each is tested at a stricter level
  /// (Bonferroni). A claim holds only if all its parts do, which needs no correction (Berger 1982).
  Interval wide;
};

/// How an effect is estimated, stated before its values are known.
struct Estimation {
  /// Of differences and of logarithms of ratios; shares have their own.
  Statistic statistic = Statistic::mean;
  /// Of Effect::interval; Effect::wide has 1 - (1 - confidence) / parts.
  double confidence = default_confidence;
};

/// The effect of a[i] against b[i], in one of the `parts` parts of a claim; without `b`, that of a
/// alone. There is none (n = 0, no interval) for fewer than two values, for values that are not
/// finite, and for ratios of values that are not positive. Throws Error when the lengths differ, or
/// a share's value is neither 0 nor 1.
Effect effect_of(EffectKind kind, std::span<const double> a, std::span<const double> b,
                 std::size_t parts = 1, const Estimation& estimation = {});

/// The interval of a share k / n (Clopper & Pearson 1934).
Interval share_interval(std::size_t k, std::size_t n, double confidence = default_confidence);

/// Holds when the interval lies entirely on the claimed side of the threshold, fails when the wide
/// one lies entirely on the other side. `within` means |effect| < threshold, or 1 / threshold <
/// effect < threshold for a ratio. With a `bound`, an effect that does neither and whose interval
/// lies within the bound, as `within` would have it, is equal. Otherwise, and without values,
/// inconclusive.
ClaimVerdict judge(const Effect& effect, Expect expect, double threshold,
                   std::optional<double> bound = {});

/// The verdict on a claim with several parts: holds when all do, fails when any does, is equal when
/// all hold or are equal.
ClaimVerdict combine(std::span<const ClaimVerdict> parts);

}  // namespace sluice
SLUICE_API_END
