#include "stop_signals.hpp"

#include <csignal>

namespace sluice::cli {
namespace {

std::atomic<int> signal_number{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only touch these");

void note(int signal) { signal_number.store(signal); }

}  // namespace

StopSignals::StopSignals() {
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

StopSignals::~StopSignals() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

const std::atomic<int>& StopSignals::received() { return signal_number; }

Progress until_interrupted(ProgressDisplay& display) {
  return [&display](double fraction, std::string_view what) {
    if (const int signal = StopSignals::received()) throw Interrupted{signal};
    display.update(fraction, what);
  };
}

}  // namespace sluice::cli
