#pragma once
// Requests that wait for their turn.

#include <cstddef>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine_task.hpp"

namespace sluice::detail {

/// First come, first served among requests of one key; keys take turns. Not thread-safe.
class EngineQueue {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void push(std::unique_ptr<EngineTask> task) {
    std::deque<std::unique_ptr<EngineTask>>& waiting = waiting_[task->request.key];
    if (waiting.empty()) turns_.push_back(task->request.key);
    waiting.push_back(std::move(task));
    ++size_;
  }

  /// The next one's turn; null when none waits.
  std::unique_ptr<EngineTask> pop() {
    if (empty()) return nullptr;
    const std::string key = std::move(turns_.front());
    turns_.pop_front();
    const auto at = waiting_.find(key);
    std::unique_ptr<EngineTask> task = std::move(at->second.front());
    at->second.pop_front();
    if (at->second.empty()) {
      waiting_.erase(at);
    } else {
      turns_.push_back(key);
    }
    --size_;
    return task;
  }

  /// Takes out those that were cancelled, or all.
  std::vector<std::unique_ptr<EngineTask>> remove(bool all) {
    std::vector<std::unique_ptr<EngineTask>> removed;
    for (auto turn = turns_.begin(); turn != turns_.end();) {
      const auto at = waiting_.find(*turn);
      std::deque<std::unique_ptr<EngineTask>> kept;
      for (std::unique_ptr<EngineTask>& task : at->second) {
        if (all || task->cancelled()) {
          removed.push_back(std::move(task));
        } else {
          kept.push_back(std::move(task));
        }
      }
      at->second = std::move(kept);
      if (at->second.empty()) {
        waiting_.erase(at);
        turn = turns_.erase(turn);
      } else {
        ++turn;
      }
    }
    size_ -= removed.size();
    return removed;
  }

 private:
  std::unordered_map<std::string, std::deque<std::unique_ptr<EngineTask>>> waiting_;
  std::list<std::string> turns_;  // keys with requests, whose turn is next first
  std::size_t size_ = 0;
};

}  // namespace sluice::detail
