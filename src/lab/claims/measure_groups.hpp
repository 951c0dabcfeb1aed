#pragma once
// Groups of measures, one source file each.

#include <vector>

#include "sluice/lab/claims/measures.hpp"

namespace sluice {

/// How fast models are, in training and afterwards.
std::vector<Measure> speed_measures();
/// What happens inside models: gradients, dead units, use of context.
std::vector<Measure> probe_measures();

}  // namespace sluice
