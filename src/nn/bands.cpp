#include "bands.hpp"

#include <algorithm>

namespace sluice {

std::vector<Band> split_bands(std::span<const std::int32_t> ids,
                              const std::vector<std::int64_t>& ends) {
  std::vector<Band> bands(ends.size());
  for (std::size_t r = 0; r < ids.size(); ++r) {
    const auto at = static_cast<std::size_t>(
        std::upper_bound(ends.begin(), ends.end(), std::int64_t{ids[r]}) - ends.begin());
    const std::size_t band = std::min(at, ends.size() - 1);
    const std::int64_t first = band == 0 ? 0 : ends[band - 1];
    bands[band].rows.push_back(static_cast<std::int32_t>(r));
    bands[band].local.push_back(static_cast<std::int32_t>(ids[r] - first));
  }
  return bands;
}

std::vector<std::int32_t> head_targets(std::span<const std::int32_t> ids,
                                       const std::vector<Band>& bands, std::int64_t first_band) {
  std::vector<std::int32_t> targets(ids.begin(), ids.end());
  for (std::size_t band = 1; band < bands.size(); ++band) {
    for (const std::int32_t row : bands[band].rows) {
      targets[static_cast<std::size_t>(row)] =
          static_cast<std::int32_t>(first_band + static_cast<std::int64_t>(band) - 1);
    }
  }
  return targets;
}

}  // namespace sluice
