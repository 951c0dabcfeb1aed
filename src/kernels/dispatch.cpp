#include "dispatch.hpp"

#include <algorithm>

#include "sluice/base/error.hpp"
#include "targets.hpp"

#include <hwy/highway.h>

namespace sluice::kernels {
namespace {

// Kept from before any forcing, which narrows what Highway reports.
const std::vector<std::int64_t>& all_targets() {
  static const std::vector<std::int64_t> targets = hwy::SupportedAndGeneratedTargets();
  return targets;
}

}  // namespace

std::string simd_target() { return hwy::TargetName(hwy::SupportedAndGeneratedTargets().front()); }

std::vector<std::pair<std::int64_t, std::string>> simd_targets() {
  std::vector<std::pair<std::int64_t, std::string>> targets;
  for (const std::int64_t target : all_targets()) {
    targets.emplace_back(target, hwy::TargetName(target));
  }
  return targets;
}

void force_simd_target(std::int64_t target) {
  const auto& known = all_targets();
  if (target != 0 && std::find(known.begin(), known.end(), target) == known.end()) {
    throw UsageError("force_simd_target: target " + std::to_string(target) +
                     " is not available on this CPU; take one from simd_targets().");
  }
  hwy::SetSupportedTargetsForTest(target);
  // Kernels dispatch on a cached choice, which the mock alone would leave as it was.
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace sluice::kernels
