#include "sluice/comm/detail/other_fact.hpp"

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

namespace sluice {
namespace {

Facts facts_of_bytes(const std::string& bytes) {
  std::vector<std::string> parts = unpack(bytes);
  Facts facts;
  for (std::size_t i = 0; i + 1 < parts.size(); i += 2) {
    facts.emplace_back(std::move(parts[i]), std::move(parts[i + 1]));
  }
  return facts;
}

}  // namespace

std::string bytes_of_facts(const Facts& facts) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : facts) {
    parts.push_back(name);
    parts.push_back(value);
  }
  return pack(parts);
}

std::optional<OtherFact> find_other(std::span<const std::string> of_all) {
  const std::string none = "none";
  std::vector<std::map<std::string, std::string>> known;
  std::vector<std::string> names;
  for (const std::string& bytes : of_all) {
    // All alike, which is usual, costs nothing.
    if (!known.empty() && bytes == of_all.front()) {
      known.push_back(known.front());
      continue;
    }
    known.emplace_back();
    for (auto& [name, value] : facts_of_bytes(bytes)) {
      names.push_back(name);
      known.back()[name] = value;
    }
  }
  const auto value = [&](std::size_t rank, const std::string& name) {
    const auto found = known[rank].find(name);
    return found == known[rank].end() ? none : found->second;
  };
  for (const std::string& name : names) {
    for (std::size_t rank = 1; rank < known.size(); ++rank) {
      const std::string first = value(0, name), there = value(rank, name);
      if (first != there) return OtherFact{static_cast<int>(rank), name, first, there};
    }
  }
  return std::nullopt;
}

}  // namespace sluice
