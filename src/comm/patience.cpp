#include "sluice/comm/detail/patience.hpp"

#include <algorithm>

namespace sluice {
namespace {

/// Until then the first process has spoken, if all have the same to complain of.
constexpr std::chrono::milliseconds after_the_first{1500};
/// When the first one cannot speak, the next does, and ends the others before they would.
constexpr std::chrono::milliseconds after_the_one_before{1500};
constexpr int most_turns = 10;

}  // namespace

SpeakingTurn::SpeakingTurn(int rank, bool of_another, Time now)
    : rank_(rank), patience_(after_the_first), looked_(now) {
  const int turn = of_another ? std::clamp(rank - 1, 0, most_turns) : 0;
  patience_ += after_the_one_before * turn;
}

SpeakingTurn::Answer SpeakingTurn::look(Time now, const Seen& seen) {
  if (rank_ == 0) return Answer::speak;
  if (seen.first_failed) return Answer::silent;
  waited_ += std::min<std::chrono::nanoseconds>(now - looked_, between_looks);
  looked_ = now;
  if (waited_ < patience_) return Answer::wait;
  // Who is told to stop and cannot is not the one that failed.
  return seen.stopping ? Answer::silent : Answer::speak;
}

void Straggler::saw(int rank, std::int64_t begun) {
  Seen& seen = seen_[static_cast<std::size_t>(rank)];
  if (seen.begun != begun) seen = {.begun = begun};
}

std::optional<int> Straggler::look(Time now, double patience) {
  const auto [last, first] = std::minmax_element(
      seen_.begin(), seen_.end(), [](const Seen& a, const Seen& b) { return a.begun < b.begun; });
  if (last->begun == first->begun) return std::nullopt;
  if (!last->behind_since) last->behind_since = now;
  const double waited = std::chrono::duration<double>(now - *last->behind_since).count();
  if (last->told || waited < patience) return std::nullopt;
  last->told = true;
  return static_cast<int>(last - seen_.begin());
}

double timeout_when_stopping(double timeout) {
  return std::min(timeout, std::clamp(timeout / 4, 5.0, 30.0));
}

}  // namespace sluice
