#pragma once
// Which requests read how much in a pass, and what they are told of it.

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "engine_pass.hpp"
#include "engine_task.hpp"
#include "prefix_cache.hpp"

namespace sluice::detail {

/// The requests under way. Touched by the engine's thread only.
class EngineScheduler {
 public:
  using Tasks = std::vector<std::unique_ptr<EngineTask>>;

  EngineScheduler(const FrozenModel& model, const EngineOptions& options);

  /// Whether nothing is under way.
  bool idle() const { return running_.empty() && paused_.empty(); }
  /// Requests under way, those included that wait for memory.
  std::size_t size() const { return running_.size() + paused_.size(); }
  /// Whether one more may begin.
  bool has_room() const;
  void admit(std::unique_ptr<EngineTask> task);

  /// One pass; returns the requests that ended, who are to be told.
  Tasks step();
  /// Ends all.
  Tasks end_all(EndReason reason, const std::string& error = {});
  /// To be called of every request that ended, of those that waited too.
  void count_end(const EngineTask& task);

  const EngineCounters& counters() const { return counters_; }

 private:
  void start(EngineTask& task);
  bool follow(EngineTask& task);
  std::size_t on_grid(std::size_t length, const EngineTask& a, const EngineTask& b) const;
  std::vector<EnginePass::Part> plan();
  std::size_t hurry(std::vector<EnginePass::Part>& parts, std::size_t others);
  void share_chunk(std::vector<EnginePass::Part>& parts, std::vector<EngineTask*>& reading,
                   std::size_t budget);
  void remember(EngineTask& task);
  void tell(const EnginePass::Told& told);
  void count_token(EngineTask& task);
  void keep_within_memory();
  Tasks take_ended();
  std::size_t session_bytes() const;

  const EngineOptions& options_;
  std::int64_t vocabulary_;
  EnginePass pass_;
  PrefixCache prefixes_;
  Tasks running_, paused_;
  std::size_t turn_ = 0;
  /// Tokens that the last pass read for first tokens alone, while others waited; 0: none waited.
  std::size_t hurried_ = 0;
  EngineCounters counters_;
};

}  // namespace sluice::detail
