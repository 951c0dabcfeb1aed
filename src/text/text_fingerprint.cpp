#include "sluice/text/detail/text_fingerprint.hpp"

#include <algorithm>
#include <cstdint>

#include "sluice/base/file.hpp"

namespace sluice {
namespace {

constexpr std::uint64_t window = 4096;
constexpr std::uint64_t most_windows = 256;

}  // namespace

std::string text_fingerprint(const std::vector<TextSource>& sources) {
  std::vector<std::uint64_t> sums;
  std::uint64_t all = 0;
  for (const TextSource& source : sources) {
    sums.push_back(TextFile(source).size());
    all += sums.back();
  }
  // Windows begin this far apart, and so follow each other in a small text.
  const std::uint64_t apart = std::max(window, all / most_windows + 1);
  std::uint64_t begin = 0;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const std::uint64_t end = begin + sums[i];
    std::uint64_t at = (begin + apart - 1) / apart * apart;
    // A window may reach from one source into the next, whose beginning is then read by itself.
    if (apart == window && sums[i] > 0) at = begin;
    if (at < end) {
      const TextFile file(sources[i]);
      for (; at < end; at += apart) {
        const std::string bytes = file.read(at - begin, window);
        sums.push_back(checksum(bytes.data(), bytes.size()));
      }
    }
    begin = end;
  }
  return checksum_hex(sums.data(), sums.size() * sizeof(std::uint64_t));
}

}  // namespace sluice
