#pragma once
// The measures that have files of their own.

#include <vector>

#include "sluice/lab/claims/measures.hpp"

namespace sluice {

/// How fast models are, in training and afterwards.
std::vector<Measure> speed_measures();
/// What happens inside models: gradients, dead units, use of context.
std::vector<Measure> probe_measures();

}  // namespace sluice
