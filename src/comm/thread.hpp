#pragma once
// The thread that speaks MPI for a process.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "heartbeat.hpp"
#include "mpi_table.hpp"
#include "shared_count.hpp"
#include "sluice/comm/communicator.hpp"

namespace sluice {

/// Does what is posted, one after the other. Open MPI makes no progress by itself: while something
/// is under way this thread asks after it, closely when somebody waits, else now and then, so that
/// the thread that computes has the core.
class Communicator::Thread final : private Collectives {
 public:
  /// Opens MPI on the new thread. Throws Error when that fails.
  Thread(const MpiTable& mpi, const Options& options);
  ~Thread() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  /// Who the others are, for messages; before that they have no names.
  void name(std::function<std::string(int rank)> title);
  std::future<void> post(std::function<void(Collectives&)> work);
  /// Counts who waits for work.
  class Waiting;
  void leave();
  void abort(int status) noexcept;
  bool first_failed() const { return heartbeat_->first_failed(); }
  bool was_missed() const { return heartbeat_->was_missed(); }
  std::int64_t next_number();
  void restart_count() { count_->restart(); }

 private:
  using Work = std::packaged_task<void(Collectives&)>;

  void run(std::promise<void> opened);
  /// The next work; none yet after a while, or when there will be none.
  bool next(Work& work);
  void do_all();
  /// Returns when `request` is complete.
  void finish(void* request);

  void all_gather(std::span<const std::byte> mine, std::span<const std::size_t> counts,
                  std::span<std::byte> all) override;
  void all_to_all(std::span<const std::byte> from, std::span<const Part> from_parts,
                  std::span<std::byte> to, std::span<const std::size_t> to_counts) override;
  void broadcast(std::span<std::byte> data, int root) override;
  void send(std::span<const std::byte> data, int to) override;
  void receive(std::span<std::byte> data, int from) override;

  const MpiTable& mpi_;
  /// What others want of this process between its own work; the first that is silent.
  std::optional<int> attend();
  /// Tells who keeps others waiting.
  void tell_straggler();
  std::string title_of(int rank);
  /// Seconds of silence after which another process is lost.
  double patience() const;

  const Options options_;
  int rank_ = 0, size_ = 1;
  /// Exchanges of all processes, that this one has begun.
  std::int64_t begun_ = 0;
  std::unique_ptr<Heartbeat> heartbeat_;
  std::unique_ptr<SharedCount> count_;
  std::mutex mutex_;
  std::condition_variable changed_, awaited_;
  std::deque<Work> posted_;
  std::function<std::string(int)> title_;
  bool ending_ = false, leaving_ = false;
  std::atomic<int> waiting_{0};
  std::exception_ptr broken_;
  std::thread thread_;
};

class Communicator::Thread::Waiting {
 public:
  explicit Waiting(Thread& thread) : thread_(thread) {
    ++thread_.waiting_;
    thread_.awaited_.notify_one();
  }
  ~Waiting() { --thread_.waiting_; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  Thread& thread_;
};

}  // namespace sluice
