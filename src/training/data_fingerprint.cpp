#include "sluice/training/detail/data_fingerprint.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "sluice/base/file.hpp"

namespace sluice {

std::string data_fingerprint(const TokenShards& tokens) {
  constexpr std::int64_t window = 4096;
  constexpr std::int64_t most_windows = 256;
  const std::int64_t size = tokens.size();
  const std::int64_t windows = std::min(most_windows, (size + window - 1) / window);
  std::vector<std::uint64_t> sums{static_cast<std::uint64_t>(size),
                                  static_cast<std::uint64_t>(tokens.vocabulary())};
  std::vector<TokenId> buffer(static_cast<std::size_t>(window));
  for (std::int64_t i = 0; i < windows; ++i) {
    // The last window ends with the corpus; windows overlap or leave gaps as the size demands.
    const std::int64_t last = std::max<std::int64_t>(0, size - window);
    const std::int64_t begin = windows > 1 ? last * i / (windows - 1) : 0;
    const std::int64_t n = std::min(window, size - begin);
    tokens.read(begin, n, buffer.data());
    sums.push_back(checksum(buffer.data(), static_cast<std::size_t>(n) * sizeof(TokenId)));
  }
  if (const DocumentEnds* const documents = tokens.documents()) {
    std::uint64_t ends = 0;
    for (std::int64_t i = 0; i < documents->count(); ++i) {
      const std::uint64_t both[] = {ends, static_cast<std::uint64_t>(documents->end(i))};
      ends = checksum(both, sizeof both);
    }
    sums.push_back(ends);
  }
  return checksum_hex(sums.data(), sums.size() * sizeof(std::uint64_t));
}

}  // namespace sluice
