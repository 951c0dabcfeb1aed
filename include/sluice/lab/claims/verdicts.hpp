#pragma once
// Whether an effect is what a claim says it is: intervals, and what may be concluded from them.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "sluice/base/names.hpp"
#include "sluice/lab/compare/statistics.hpp"

namespace sluice {

/// What a claim says of an effect: it lies below a threshold, above it, or nearer to no effect
/// than it.
enum class Expect : std::uint8_t { less, greater, within };
/// "less", "greater", "within".
const EnumNames<Expect>& enum_names(Expect);

enum class ClaimVerdict : std::uint8_t { holds, fails, inconclusive };
/// "holds", "fails", "inconclusive".
const EnumNames<ClaimVerdict>& enum_names(ClaimVerdict);

/// How the sides of a claim are held against each other.
enum class EffectKind : std::uint8_t {
  /// Mean of a - b over pairs (of a alone, when there is no b), by Student's t.
  difference,
  /// Geometric mean of a / b over pairs, by Student's t on ln(a / b).
  ratio,
  /// Of values that are 0 or 1, for which Student's t does not serve: share of a less share of b,
  /// the interval by adding the squares of the distances to both shares' own limits (Newcombe 1998,
  /// method 10), those exact ones; of a alone the exact one.
  share,
};
/// "difference", "ratio", "share".
const EnumNames<EffectKind>& enum_names(EffectKind);

/// An effect and how sure it is.
struct Effect {
  EffectKind kind = EffectKind::difference;
  /// Values of each side; 0: none could be had.
  std::size_t n = 0;
  /// Means of both sides (geometric ones for a ratio); b: NaN when there is none.
  double a = 0, b = 0;
  double effect = 0;
  /// At default_confidence. What has to lie on the claimed side for a part to hold.
  Interval interval;
  /// At 1 - (1 - default_confidence) / parts. What has to lie on the other side for it to fail: a
  /// claim of several parts fails by one of them, so that each may be wrong less often
  /// (Bonferroni); it holds only by all, which needs no correction (Berger 1982).
  Interval wide;
};

/// The effect of a[i] against b[i], a part of a claim of `parts` parts. Without `b` that of a
/// alone. None (n = 0, no interval) for fewer than two values, ones that are not finite, ratios of
/// what is not positive. Throws Error when the lengths differ, or a share's value is neither 0
/// nor 1.
Effect effect_of(EffectKind kind, std::span<const double> a, std::span<const double> b,
                 std::size_t parts = 1);

/// The interval of a share k / n (Clopper & Pearson 1934).
Interval share_interval(std::size_t k, std::size_t n, double confidence = default_confidence);

/// Holds when the interval lies wholly on the claimed side of the threshold, fails when the wide
/// one lies wholly on the other, else inconclusive: so also without values. `within` asks for
/// |effect| < threshold, or 1 / threshold < effect < threshold for a ratio.
ClaimVerdict judge(const Effect& effect, Expect expect, double threshold);

/// Of a claim with several parts: holds when all do, fails when any does.
ClaimVerdict combine(std::span<const ClaimVerdict> parts);

}  // namespace sluice
