#include "sluice/base/pieces.hpp"

#include "sluice/base/error.hpp"

namespace sluice {

void OwnWork::stream(const Read& read, const Work& work, const Write& write) {
  while (const std::optional<Piece> piece = read()) write(work(piece->bytes));
}

std::vector<std::string> OwnWork::map(std::int64_t n,
                                      const std::function<std::string(std::int64_t)>& work) {
  std::vector<std::string> results;
  for (std::int64_t i = 0; i < n; ++i) results.push_back(work(i));
  return results;
}

std::string pack(std::span<const std::string> texts) {
  std::string bytes;
  for (const std::string& text : texts) {
    const std::uint64_t size = text.size();
    bytes += bytes_of_value(size);
    bytes += text;
  }
  return bytes;
}

std::vector<std::string> unpack(std::string_view bytes) {
  std::vector<std::string> texts;
  const auto check = [&](std::uint64_t size) {
    if (size <= bytes.size()) return;
    throw Error("what another process sent cannot be taken apart: all need the same version");
  };
  while (!bytes.empty()) {
    std::uint64_t size = 0;
    check(sizeof size);
    size = values_of_bytes<std::uint64_t>(bytes.substr(0, sizeof size)).front();
    bytes.remove_prefix(sizeof size);
    check(size);
    texts.emplace_back(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return texts;
}

}  // namespace sluice
