#pragma once
// What the tests of Engine listen with.

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "sluice/inference/engine.hpp"

namespace sluice::testing_support {

/// Keeps all it is told; wait() returns when the request is done.
class Recorder : public EngineListener {
 public:
  /// Called for every token; returns whether to go on.
  std::function<bool(const EngineToken&)> on_token;

  void prompt(std::span<const EngineToken> read) override {
    const std::lock_guard lock(mutex_);
    prompt_tokens.insert(prompt_tokens.end(), read.begin(), read.end());
  }
  bool token(const EngineToken& made) override {
    {
      const std::lock_guard lock(mutex_);
      tokens.push_back(made);
    }
    return !on_token || on_token(made);
  }
  void done(const EngineResult& how) override {
    const std::lock_guard lock(mutex_);
    result = how;
    ++times_done;
    done_.notify_all();
  }

  const EngineResult& wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return times_done > 0; });
    return result;
  }
  std::vector<std::int32_t> ids() const {
    std::vector<std::int32_t> out;
    for (const EngineToken& each : tokens) out.push_back(each.id);
    return out;
  }

  std::vector<EngineToken> prompt_tokens, tokens;
  EngineResult result;
  int times_done = 0;

 private:
  std::mutex mutex_;
  std::condition_variable done_;
};

inline std::shared_ptr<Recorder> submit(Engine& engine, EngineRequest request) {
  auto recorder = std::make_shared<Recorder>();
  engine.submit(std::move(request), recorder);
  return recorder;
}

}  // namespace sluice::testing_support
