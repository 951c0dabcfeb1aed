#pragma once
// How long something takes at its fastest. For rooms, not for users of the library.

#include <algorithm>
#include <chrono>

namespace sluice {

/// The shortest time of f() in seconds: repeated until `budget` seconds are used up, after a first
/// time that does not count.
template <class F>
double shortest_time(double budget, F&& f) {
  using Clock = std::chrono::steady_clock;
  f();
  double best = 0;
  double used = 0;
  while (used < budget) {
    const auto start = Clock::now();
    f();
    const double seconds =
        std::max(std::chrono::duration<double>(Clock::now() - start).count(), 1e-9);
    best = used == 0 ? seconds : std::min(best, seconds);
    used += seconds;
  }
  return best;
}

}  // namespace sluice
