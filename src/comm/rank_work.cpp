#include "sluice/comm/rank_work.hpp"

#include <optional>
#include <utility>

namespace sluice {

void RankWork::stream(const Read& read, const Work& work, const Write& write) {
  const auto size = static_cast<std::size_t>(ranks_.size());
  bool ended = false;
  while (true) {
    std::vector<std::string> pieces;
    while (leads() && !ended && pieces.size() < size) {
      std::optional<Piece> piece = read();
      ended = !piece;
      if (!piece) break;
      pieces.push_back(std::move(piece->bytes));
      if (!piece->more) break;
    }
    const Communicator::Scattered own = ranks_.scatter(pieces);
    if (own.parts == 0) return;
    const bool some = ranks_.rank() < own.parts;
    const std::vector<std::string> results = ranks_.collect(some ? work(own.part) : std::string());
    if (!leads()) continue;
    for (int rank = 0; rank < own.parts; ++rank) write(results[static_cast<std::size_t>(rank)]);
  }
}

std::vector<std::string> RankWork::map(std::int64_t n,
                                       const std::function<std::string(std::int64_t)>& work) {
  std::vector<std::string> done;
  for (std::int64_t i = ranks_.next_number(); i < n; i = ranks_.next_number()) {
    done.push_back(bytes_of_value(i));
    done.push_back(work(i));
  }
  std::vector<std::string> results(leads() ? static_cast<std::size_t>(n) : 0);
  for (const std::string& of_one : ranks_.collect(pack(done))) {
    std::vector<std::string> parts = unpack(of_one);
    for (std::size_t p = 0; p + 1 < parts.size(); p += 2) {
      const auto i = values_of_bytes<std::int64_t>(parts[p]).front();
      results[static_cast<std::size_t>(i)] = std::move(parts[p + 1]);
    }
  }
  ranks_.restart_count();
  return results;
}

}  // namespace sluice
