#pragma once
// Groups of measures, one source file each.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "sluice/lab/claims/measures.hpp"
#include "sluice/text/corpus.hpp"

namespace sluice {

/// The value of a run that has none: it diverged, or its model has no gates.
inline constexpr double no_value = std::numeric_limits<double>::infinity();

/// How fast models are, in training and afterwards.
std::vector<Measure> speed_measures();
/// What happens inside models: gradients, dead units, use of context.
std::vector<Measure> probe_measures();
/// What models predict of the validation text.
std::vector<Measure> text_measures();

/// Calls visit(token) for all tokens of a text, of which a piece is in memory at a time.
template <typename Visit>
void for_each_token(const TokenShards& text, const Visit& visit) {
  constexpr std::int64_t piece = std::int64_t{1} << 16;
  std::vector<TokenId> tokens(static_cast<std::size_t>(std::min(piece, text.size())));
  for (std::int64_t begin = 0; begin < text.size(); begin += piece) {
    const std::int64_t n = std::min(piece, text.size() - begin);
    text.read(begin, n, tokens.data());
    std::for_each_n(tokens.begin(), n, visit);
  }
}

/// Mean loss of each of the validation text's blocks (Measure::of_blocks).
std::vector<double> block_losses(Measuring& measuring, const MeasuredRun& run);

}  // namespace sluice
