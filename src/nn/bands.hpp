#pragma once
// The bands of an adaptive softmax (Grave et al. 2017).

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

/// Where one band's tokens stand in a batch, and their indices within the band.
struct Band {
  std::vector<std::int32_t> rows, local;
};

/// Splits ids over bands [0, ends[0]), [ends[0], ends[1]), ..; an id behind the last end, or below
/// 0, goes to the last, or the first, as it is.
std::vector<Band> split_bands(std::span<const std::int32_t> ids,
                              const std::vector<std::int64_t>& ends);

/// What the head is asked for: a token of the first band itself, for others their band's entry
/// behind these.
std::vector<std::int32_t> head_targets(std::span<const std::int32_t> ids,
                                       const std::vector<Band>& bands, std::int64_t first_band);

}  // namespace sluice
