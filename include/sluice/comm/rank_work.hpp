#pragma once
// Pieces of work shared among the processes of a job.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/pieces.hpp"
#include "sluice/comm/communicator.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Every process does pieces; the first one leads. One thread at a time, and none uses its
/// Communicator meanwhile.
class RankWork final : public PieceWork {
 public:
  /// `ranks` must outlive it.
  explicit RankWork(Communicator& ranks) : ranks_(ranks) {}

  bool leads() const override { return ranks_.leads(); }
  int processes() const override { return ranks_.size(); }
  /// In rounds: the leader reads a piece for each process, fewer where it would have to wait, and
  /// writes what came of them.
  void stream(const Read& read, const Work& work, const Write& write) override;
  /// Each process takes the next piece when it has done one, so that it does not matter whether
  /// they cost the same, or whether all begin at the same time.
  std::vector<std::string> map(std::int64_t n,
                               const std::function<std::string(std::int64_t)>& work) override;
  std::vector<std::string> collect(std::string_view mine) override { return ranks_.collect(mine); }
  std::string share(const std::function<std::string()>& make) override {
    return ranks_.broadcast(leads() ? make() : std::string());
  }
  void check_same(const Facts& facts) override { ranks_.check_same(facts); }

 private:
  Communicator& ranks_;
};

}  // namespace sluice
SLUICE_API_END
