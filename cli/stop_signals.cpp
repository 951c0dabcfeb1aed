#include "stop_signals.hpp"

#include <csignal>
#include <system_error>

#include "sluice/base/error.hpp"

namespace sluice::cli {
namespace {

std::atomic<int> signal_number{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only touch these");

/// On threads that were there before, which compute nothing: those of MPI.
void note(int signal) { signal_number.store(signal); }

}  // namespace

StopSignals::StopSignals() {
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  sigemptyset(&signals_);
  for (const int signal : {SIGINT, SIGTERM}) {
    sigaddset(&signals_, signal);
    sigaction(signal, &action, nullptr);
  }
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  try {
    waiting_ = std::thread([this] { wait(); });
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    throw Error(std::string("cannot start a thread that waits for Ctrl-C: ") +
                error.code().message());
  }
}

StopSignals::~StopSignals() {
  ending_.store(true);
  // The thread waits for this signal, which is blocked, and returns.
  pthread_kill(waiting_.native_handle(), SIGTERM);  // NOLINT(bugprone-bad-signal-to-kill-thread)
  waiting_.join();
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void StopSignals::wait() {
  int signal = 0;
  sigwait(&signals_, &signal);
  if (ending_.load()) return;
  signal_number.store(signal);
  sigwait(&signals_, &signal);
  if (ending_.load()) return;
  std::signal(signal, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
  ::raise(signal);
}

const std::atomic<int>& StopSignals::received() { return signal_number; }

Progress until_interrupted(ProgressDisplay& display) {
  return [&display](double fraction, std::string_view what) {
    if (const int signal = StopSignals::received()) throw Interrupted{signal};
    display.update(fraction, what);
  };
}

}  // namespace sluice::cli
