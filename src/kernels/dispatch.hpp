#pragma once
// Which SIMD targets the kernels can run on here, and forcing one (for tests and benchmarks).

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sluice::kernels {

/// Name of the target in use, e.g. "AVX3_ZEN4".
std::string simd_target();

/// Every compiled target this CPU supports: Highway's bit and name, best first.
std::vector<std::pair<std::int64_t, std::string>> simd_targets();

/// Makes all kernels run on one target from simd_targets(); 0 returns to the best. Not
/// thread-safe: call it while no kernel runs.
void force_simd_target(std::int64_t target);

}  // namespace sluice::kernels
