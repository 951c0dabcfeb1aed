#pragma once
// Signs of life between processes.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mpi_table.hpp"
#include "sluice/comm/detail/patience.hpp"

namespace sluice {

/// Every process shows the first one a sign of life each second, and the first one all others: how
/// many exchanges it has begun.
class Heartbeat {
 public:
  using Clock = std::chrono::steady_clock;

  Heartbeat(const MpiTable& mpi, int rank, int size);
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  /// Shows a sign when it is time, and sees those of others; `begun` is what this process's says.
  /// The first of them that has shown none for `timeout` seconds. To be called often; costs next to
  /// nothing in between.
  std::optional<int> beat(double timeout, std::int64_t begun);
  /// In the first process: who has kept others waiting for `patience` seconds, itself included.
  std::optional<int> straggler(double patience) { return straggler_.look(looked_, patience); }

  /// Forgets what is under way.
  void end();

  /// From any thread: the next signs say that this process is about to end the job.
  void fail() { failing_ = true; }
  /// Whether the first process has said so.
  bool first_failed() const { return first_failed_; }
  /// Whether this process was stopped for so long, not long ago, that others may have given it up.
  bool was_missed() const { return missed_; }

 private:
  struct Peer {
    int rank;
    void* sending = nullptr;
    void* receiving = nullptr;
    Clock::time_point heard;
    Clock::time_point sent = {};
    /// What is sent and received: a sign.
    std::int64_t out = 0, in = 0;
    bool told = false;
  };

  const MpiTable& mpi_;
  void show(Peer& peer, Clock::time_point now);

  std::vector<Peer> peers_;
  Straggler straggler_;
  std::int64_t begun_ = 0;
  std::atomic<bool> failing_{false}, first_failed_{false}, missed_{false};
  Clock::time_point next_ = Clock::now();
  Clock::time_point looked_ = Clock::now();
  std::optional<Clock::time_point> woken_;
};

}  // namespace sluice
