#pragma once
// What a unit costs on this machine.

#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/kernels/unit_info.hpp"

SLUICE_API_BEGIN
namespace sluice {

struct UnitCost {
  double forward_ns = 0;           ///< per element of the output
  double forward_backward_ns = 0;  ///< the same with the gradient of the input
};

/// Elements of the output that measure_unit_cost() computes at a time: inputs, output and gradients
/// stay in the caches of a core.
inline constexpr std::int64_t unit_cost_elements = 4096;

/// Measures on the calling thread for about 30 ms and takes the shortest of many passes over
/// unit_cost_elements, since load can only lengthen a pass. Gates and activations are timed as the
/// float kernels alone; layer units as ops in training mode, including their allocations and a copy
/// of the incoming gradient.
UnitCost measure_unit_cost(const UnitInfo& info);

}  // namespace sluice
SLUICE_API_END
