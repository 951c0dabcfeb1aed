#pragma once
// What neither a graph nor PyTorch's layers hold.

#include "sluice/base/error.hpp"
#include "sluice/models/config.hpp"

namespace sluice {

/// Throws UsageError for a model that is conditional on labels.
inline void require_unconditional(const ModelConfig& config) {
  if (config.labels.empty()) return;
  throw UsageError(
      "cannot export: the model is conditional on labels, which are not exported; train one "
      "without (the setting condition)");
}

}  // namespace sluice
