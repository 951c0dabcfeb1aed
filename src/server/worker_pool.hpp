#pragma once
// Threads for what would hold the connections up.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice::server {

/// Runs jobs in the order they come in, as many at once as it has threads.
class WorkerPool {
 public:
  WorkerPool(int threads, std::size_t most_waiting);
  /// stop().
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// False when as many wait as may, or it was stopped: the job is then not run. A job must not
  /// throw.
  bool add(std::function<void()> job);
  /// Drops the jobs that wait and returns when those that run have ended.
  void stop();
  /// Takes no more jobs and returns when those it has have ended.
  void finish();

 private:
  void work();
  void join();

  std::size_t most_waiting_;
  std::mutex mutex_;
  std::condition_variable some_;
  std::deque<std::function<void()>> jobs_;
  bool stopped_ = false, closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sluice::server
