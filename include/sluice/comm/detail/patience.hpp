#pragma once
// How long the processes of a job wait for one another. No clock is read here: times are given, so
// that tests have theirs.

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace sluice {

/// The turn of one of several processes that have something to complain of, so that one of them
/// speaks for all: the first at once, any other when that one has had time to. If they complain of
/// another process, which may be the first, each leaves those before it time to speak and to end
/// the job. A value, of one thread at a time; it throws nothing.
class SpeakingTurn {
 public:
  using Time = std::chrono::steady_clock::time_point;
  enum class Answer : std::uint8_t { wait, speak, silent };
  /// What a process knows of the job.
  struct Seen {
    /// The first process has spoken, and ends the job.
    bool first_failed = false;
    /// It was told to stop.
    bool stopping = false;
  };
  /// How often to look() while it says wait.
  static constexpr std::chrono::milliseconds between_looks{50};

  /// Of process `rank`, which has had something to complain of since `now`.
  SpeakingTurn(int rank, bool of_another, Time now);

  /// Whether it is to speak, at `now` of a clock that does not go back. Time in which it could not
  /// look counts as one look, for it has not heard others either.
  Answer look(Time now, const Seen& seen);

 private:
  int rank_;
  std::chrono::nanoseconds patience_, waited_{};
  Time looked_;
};

/// Who keeps others waiting, as the process knows that hears how many exchanges each has begun,
/// which is the same number for all when all are as far. A value, of one thread at a time.
class Straggler {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Straggler(int size) : seen_(static_cast<std::size_t>(size)) {}

  /// Process `rank` has begun so many.
  void saw(int rank, std::int64_t begun);
  /// The process that is furthest behind, when some other has been ahead of it for `patience`
  /// seconds in which it has begun nothing; once for each time.
  std::optional<int> look(Time now, double patience);

 private:
  struct Seen {
    std::int64_t begun = 0;
    std::optional<Time> behind_since = {};
    bool told = false;
  };
  std::vector<Seen> seen_;
};

/// Seconds without a sign of life after which a process that was told to stop gives another up,
/// where otherwise it has `timeout`: a quarter, but at least 5 if it has them, many times what
/// signs are apart, so that who is short of time is not taken for dead; and at most 30, since
/// somebody waits.
double timeout_when_stopping(double timeout);

}  // namespace sluice
