#pragma once
// Groups of measures, one source file each.

#include <limits>
#include <vector>

#include "sluice/lab/claims/measures.hpp"

namespace sluice {

/// The value of a run that has none: it diverged, or its model has no gates.
inline constexpr double no_value = std::numeric_limits<double>::infinity();

/// How fast models are, in training and afterwards.
std::vector<Measure> speed_measures();
/// What happens inside models: gradients, dead units, use of context.
std::vector<Measure> probe_measures();
/// What models predict of the validation text.
std::vector<Measure> text_measures();

/// Mean loss of each of the validation text's blocks (Measure::of_blocks).
std::vector<double> block_losses(Measuring& measuring, const MeasuredRun& run);

}  // namespace sluice
