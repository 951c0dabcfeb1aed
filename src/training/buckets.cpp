#include "buckets.hpp"

namespace sluice {

std::vector<std::size_t> leaves_of_buckets(std::span<const std::int64_t> bytes) {
  std::vector<std::size_t> buckets;
  std::int64_t used = 0;
  for (const std::int64_t leaf : bytes) {
    const std::int64_t most = buckets.size() > 1 ? bucket_bytes : first_bucket_bytes;
    if (buckets.empty() || used + leaf > most) {
      buckets.push_back(0);
      used = 0;
    }
    used += leaf;
    ++buckets.back();
  }
  return buckets;
}

}  // namespace sluice
