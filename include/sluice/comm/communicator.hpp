#pragma once
// Processes that work together: who they are, and what they tell each other.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/pieces.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Another process of the job failed, hangs or is not as this one.
class RankError : public Error {
 public:
  using Error::Error;
};

/// What processes do together, on the communicator's thread (Communicator::post). Every process
/// calls the same ones in the same order, with counts in bytes that fit each other; each returns
/// when it is done here. Throws RankError when another process has gone, or is silent for too long.
class Collectives {
 public:
  virtual ~Collectives() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// all = what each process has, one after another: counts[r] bytes of process r. `mine` may be
  /// this process's part of `all`, if it is in all processes.
  virtual void all_gather(std::span<const std::byte> mine, std::span<const std::size_t> counts,
                          std::span<std::byte> all) = 0;
  /// Bytes among others, from `offset` on.
  struct Part {
    std::size_t offset = 0, size = 0;
  };
  /// Part from_parts[r] of `from` goes to process r; what it has for this one, to_counts[r] bytes,
  /// becomes the r-th part of `to`, in which they follow each other.
  virtual void all_to_all(std::span<const std::byte> from, std::span<const Part> from_parts,
                          std::span<std::byte> to, std::span<const std::size_t> to_counts) = 0;
  /// Parts of `from` that follow each other, from_counts[r] bytes for process r.
  void all_to_all(std::span<const std::byte> from, std::span<const std::size_t> from_counts,
                  std::span<std::byte> to, std::span<const std::size_t> to_counts);
  /// data = that of process `root`.
  virtual void broadcast(std::span<std::byte> data, int root) = 0;
  /// From one process to one other, which calls receive() for as many bytes.
  virtual void send(std::span<const std::byte> data, int to) = 0;
  virtual void receive(std::span<std::byte> data, int from) = 0;
};

/// The processes that mpirun, srun or the like started together, this one among them; one alone
/// otherwise. A thread of its own speaks with the others and keeps what was begun going. One thread
/// at a time may call it; every process makes the same calls in the same order.
class Communicator {
 public:
  struct Options {
    /// Seconds without a sign of life after which another process counts as lost. (Each shows one
    /// every second, by itself.)
    double timeout = 60;
    /// Where a signal handler stores a signal that asks to stop (0: none yet); from then on a
    /// quarter of the timeout is enough, 5 seconds at least (unless that is shorter itself) and 30
    /// at most. May be null.
    const std::atomic<int>* stop = nullptr;
    /// Told, on a thread of the communicator's, of a process ("rank 2 on node7") that shows signs
    /// of life and has kept others waiting for `seconds`, the timeout; in the first process. What
    /// it does may be in order (a long validation, a slow disk), so that this ends nothing. May be
    /// empty; throws nothing.
    std::function<void(const std::string& process, double seconds)> waits_for = {};
  };

  /// One process.
  Communicator();
  /// Without close() the job ends as one that failed.
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// Whether the environment says that several processes were started together, by Open MPI's or
  /// MPICH's mpirun or by srun; and which of them this one is. Costs nothing. Throws Error where it
  /// says what no launcher says.
  static bool launched();
  static int launched_rank();
  /// Joins them: loads the part of the program that is linked with MPI, and opens it. Throws Error
  /// when that part is not installed or MPI cannot be opened.
  static std::unique_ptr<Communicator> open(const Options& options);

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(hosts_.size()); }
  bool alone() const { return size() == 1; }
  /// The one process that writes files and speaks.
  bool leads() const { return rank_ == 0; }
  /// "rank 2 on node7".
  std::string title(int rank) const;
  /// How many of the processes are on this one's machine.
  int local_size() const;

  /// What each has, in order of rank.
  std::vector<std::string> all_gather(std::string_view mine);
  /// What process `root` has.
  std::string broadcast(std::string_view mine, int root = 0);
  /// What each has, in order of rank, in the process that leads; nothing in the others.
  std::vector<std::string> collect(std::string_view mine);
  /// A part of what the leader had, and how many parts there were.
  struct Scattered {
    int parts = 0;
    std::string part;
  };
  /// The r-th of the leader's parts, of which there are at most size(), for process r; those beyond
  /// get nothing. What others give as `parts` does not matter.
  Scattered scatter(std::span<const std::string> parts);
  /// Throws RankError in all processes unless each has the facts of the first: it names the first
  /// process that is not alike, and the first fact in which it is not. One exchange.
  void check_same(const Facts& facts);
  /// Returns when all have called it.
  void barrier() { static_cast<void>(all_gather({})); }
  /// What each has, of a type without pointers.
  template <class T>
  std::vector<T> gather(const T& mine) {
    static_assert(std::is_trivially_copyable_v<T>);
    // All know how much comes: one exchange is enough.
    const std::vector<std::size_t> counts(static_cast<std::size_t>(size()), sizeof mine);
    std::string all(counts.size() * sizeof mine, '\0');
    call([&](Collectives& with) {
      with.all_gather(std::as_bytes(std::span(&mine, 1)), counts,
                      std::as_writable_bytes(std::span(all.data(), all.size())));
    });
    std::vector<T> out;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      T value{};
      all.copy(reinterpret_cast<char*>(&value), sizeof value, i * sizeof value);
      out.push_back(value);
    }
    return out;
  }

  /// The next number, from 0, of a count that all processes share: each number goes to one of them.
  /// Any thread may ask.
  std::int64_t next_number();
  /// Begins the count anew; called by all, none of them asking meanwhile.
  void restart_count();

  /// Has the communicator's thread do `work` after what was posted before; wait() for it throws
  /// what it threw. After a RankError all later work throws it, too. Alone: done at once.
  std::future<void> post(std::function<void(Collectives&)> work);
  void wait(std::future<void>& work);

  /// Leaves when all do. To be called once, at the end of a job that has not failed.
  void close();
  /// Whether the first process has called abort(): it has told what there is to tell.
  bool first_failed() const;
  /// Whether this process was stopped for so long, in the last half minute, that others may have
  /// given it up, and told of it.
  bool was_missed() const;
  /// Ends all processes at once; the job's exit status becomes `status`.
  void abort(int status) noexcept;

 private:
  class Thread;
  void call(std::function<void(Collectives&)> work);

  int rank_ = 0;
  std::vector<std::string> hosts_;
  std::atomic<std::int64_t> count_{0};  // alone
  std::unique_ptr<Thread> thread_;      // null: alone
};

}  // namespace sluice
SLUICE_API_END
