#pragma once
// How gradients are cut into what travels at once.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

/// Bytes of gradients in a bucket: enough that a network's latency does not count, little enough
/// that the first goes early.
inline constexpr std::int64_t bucket_bytes = std::int64_t{4} << 20;
/// Of the first bucket, which goes earlier still.
inline constexpr std::int64_t first_bucket_bytes = std::int64_t{1} << 20;

/// How many of leaves of these sizes are in each bucket, in their order: as many as there is room
/// for, one at least, so that a leaf larger than a bucket is one by itself.
std::vector<std::size_t> leaves_of_buckets(std::span<const std::int64_t> bytes);

}  // namespace sluice
