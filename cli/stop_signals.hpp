#pragma once
// Ctrl-C and SIGTERM as a request to save and stop.

#include <signal.h>

#include <atomic>
#include <thread>

#include "output.hpp"
#include "sluice/base/progress.hpp"

namespace sluice::cli {

/// While it exists, the first SIGINT or SIGTERM is only recorded; the next one ends the process at
/// once. To be made before threads that compute: one of its own waits for the signals, which all
/// that are started later block. A handler on a thread that computes would write to whatever
/// its stack pointer names, and in matrix products of oneDNN before 3.11 that is the heap
/// (github.com/uxlfoundation/oneDNN/issues/4845).
class StopSignals {
 public:
  /// Throws Error when no thread can be started.
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Holds the signal's number, 0 before.
  static const std::atomic<int>& received();

 private:
  void wait();

  sigset_t signals_{};
  sigset_t before_{};  // what was blocked
  std::atomic<bool> ending_{false};
  std::thread waiting_;
};

/// Thrown where work that cannot be saved is abandoned because of a signal.
struct Interrupted {
  int signal;
};

/// Progress that `display` shows, and that throws Interrupted once a signal has arrived.
Progress until_interrupted(ProgressDisplay& display);

}  // namespace sluice::cli
