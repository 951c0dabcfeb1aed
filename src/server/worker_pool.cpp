#include "worker_pool.hpp"

#include <exception>
#include <utility>

namespace sluice::server {

WorkerPool::WorkerPool(int threads, std::size_t most_waiting) : most_waiting_(most_waiting) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

WorkerPool::~WorkerPool() { stop(); }

bool WorkerPool::add(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || jobs_.size() >= most_waiting_) return false;
    jobs_.push_back(std::move(job));
  }
  some_.notify_one();
  return true;
}

void WorkerPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = closed_ = true;
  }
  join();
  jobs_.clear();  // without the lock: what they hold may ask for it, and nobody adds any more
}

void WorkerPool::finish() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  join();
}

void WorkerPool::join() {
  some_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    some_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
    if (stopped_ || jobs_.empty()) return;
    const std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    try {
      job();
    } catch (const std::exception&) {
      // For want of memory, say: whoever waits for it is told when what the job held is let go of.
    }
    lock.lock();
  }
}

}  // namespace sluice::server
