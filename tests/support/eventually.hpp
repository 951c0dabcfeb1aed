// Waiting for what another thread or process will do.
#ifndef SLUICE_TESTS_SUPPORT_EVENTUALLY_HPP
#define SLUICE_TESTS_SUPPORT_EVENTUALLY_HPP

#include <chrono>
#include <thread>

namespace sluice {

/// Long enough for a sanitizer's build on a machine that has other work: only a test that fails
/// anyway takes that long.
constexpr std::chrono::minutes patience{4};

/// Whether `condition()` comes to hold; it is asked every 5 ms until then.
template <class Condition>
bool eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace sluice

#endif
