#pragma once
// Whether subwords or characters suit a text.

#include <cstdint>
#include <optional>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/progress.hpp"
#include "sluice/text/source.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What each character of a text costs, in bits, to those who learnt from what stands before it.
struct UnitCosts {
  /// Cut into subwords: those who know how often each subword occurs, and no more.
  double subwords = 0;
  /// Cut into characters: those who know what follows each two of them, by counts from which 0.75
  /// is taken for what was not seen (absolute discounting: Ney, Essen and Kneser, 1994).
  double characters = 0;
};

/// Learns bpe of `vocabulary` tokens, and both counts, from all but the last twentieth of a text,
/// and measures on that; of a longer text than 2 MB on its beginning. Takes as long as the
/// vocabulary, some seconds. Nothing when no such vocabulary can be learnt, or the text is too
/// short or none. The same for the same text.
std::optional<UnitCosts> unit_costs(const std::vector<TextSource>& sources, std::int64_t vocabulary,
                                    const Progress& progress = {});

}  // namespace sluice
SLUICE_API_END
