#pragma once
// Ctrl-C and SIGTERM as a request to save and stop.

#include <atomic>

#include "output.hpp"
#include "sluice/base/progress.hpp"

namespace sluice::cli {

/// While it exists, the first SIGINT or SIGTERM is only recorded; the next of that kind ends the
/// process at once.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Holds the signal's number, 0 before.
  static const std::atomic<int>& received();
};

/// Thrown where work that cannot be saved is abandoned because of a signal.
struct Interrupted {
  int signal;
};

/// Progress that `display` shows, and that throws Interrupted once a signal has arrived.
Progress until_interrupted(ProgressDisplay& display);

}  // namespace sluice::cli
