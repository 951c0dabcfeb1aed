#pragma once
// Labels (author, topic, speaker, language) that the rows of a pass are computed under.

#include <cstdint>
#include <span>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// 0 is the unknown label, i the i-th of ModelConfig::labels. A view: `each` must outlive it.
struct RowLabels {
  /// That of all rows.
  std::int32_t all = 0;
  /// Not empty: that of each row, of position t that under which the token after t is predicted.
  std::span<const std::int32_t> each = {};

  bool one() const { return each.empty(); }
};

}  // namespace sluice
SLUICE_API_END
