#pragma once
// A tiny model, a tiny text, and ways to compare two runs.

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "sluice/base/file.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/random.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/text/corpus.hpp"
#include "sluice/training/detail/checkpoint.hpp"
#include "sluice/training/trainer.hpp"

namespace sluice::training_test {

/// A fresh directory, removed with its contents.
class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-train-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Models this small are faster on one thread, by far so on a busy machine.
inline const bool one_thread = [] {
  set_thread_count(1);
  return true;
}();

constexpr std::int64_t vocabulary = 24;

/// Every kind of layer: kernel 1, no residual, a projected one, dropout, adaptive softmax.
inline ModelConfig tiny_config() {
  ModelConfig config;
  config.shape<GcnnShape>().layers = parse_layers("[(12,3)] + [(8,1,0),(8,3,0),(12,1,3)]");
  config.vocabulary = vocabulary;
  config.dim = 8;
  config.dropout = 0.1F;
  config.softmax = "adaptive";
  config.cutoffs = {8};
  return config;
}

/// Tokens with some structure: each mostly follows from the one before.
inline TokenShards tiny_tokens(std::int64_t n, std::uint64_t seed) {
  std::vector<TokenId> tokens;
  tokens.reserve(static_cast<std::size_t>(n));
  TokenId last = 0;
  const RandomKey key{.seed = seed, .stream = 7, .step = 0};
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t bits = key.bits(static_cast<std::uint64_t>(i));
    last = bits % 4 == 0 ? static_cast<TokenId>(bits / 4 % vocabulary)
                         : static_cast<TokenId>((5 * last + 3) % vocabulary);
    tokens.push_back(last);
  }
  return TokenShards(tokens, 0, vocabulary);
}

/// 4 streams × 8 positions on 330 tokens: 10 steps per epoch, 37 steps in all.
inline TrainConfig tiny_training(OptimizerKind optimizer = OptimizerKind::nesterov,
                                 ScheduleKind schedule = ScheduleKind::cosine) {
  TrainConfig config;
  config.batch = 4;
  config.context = 8;
  config.optimizer.kind = optimizer;
  config.optimizer.momentum = 0.9;
  config.schedule.kind = schedule;
  config.schedule.lr = default_learning_rate(optimizer) * 0.5;
  config.schedule.warmup = 4;
  config.clip = default_clip(optimizer);
  config.steps = 37;
  config.log_every = 7;
  return config;
}

inline std::unique_ptr<LanguageModel> tiny_model(const ModelConfig& config = tiny_config()) {
  return make_model(config, 5);
}

/// One run (or the rest of one) in `directory`, as a new process would do it.
inline TrainResult run(const std::filesystem::path& directory, const TrainConfig& config,
                       const TrainOptions& options = {}, std::int64_t valid_tokens = 100,
                       const ModelConfig& shape = tiny_config()) {
  const auto model = tiny_model(shape);
  const TokenShards valid = tiny_tokens(valid_tokens, 2);
  return train(*model, tiny_tokens(330, 1), &valid, config, directory, options);
}

/// Options that ask to stop once `step` steps are done.
struct StopAt {
  explicit StopAt(std::int64_t step) {
    options.stop = &flag;
    options.callbacks.stepped = [this, step](const TrainProgress& progress) {
      if (progress.step >= step) flag = 15;
    };
  }
  std::atomic<int> flag{0};
  TrainOptions options;
};

inline void expect_same_tensors(const NamedTensors& a, const NamedTensors& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    ASSERT_EQ(a[i].second.shape(), b[i].second.shape()) << a[i].first;
    ASSERT_EQ(a[i].second.dtype(), b[i].second.dtype()) << a[i].first;
    EXPECT_EQ(std::memcmp(a[i].second.raw(), b[i].second.raw(), a[i].second.bytes()), 0)
        << a[i].first;
  }
}

/// metrics.jsonl without what depends on the clock.
inline std::string metrics_without_times(const std::filesystem::path& file) {
  std::istringstream lines(read_file(file));
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    auto json = nlohmann::json::parse(line);
    json.erase("seconds");
    json.erase("check");
    json.erase("tokens_per_second");
    out += json.dump() + '\n';
  }
  return out;
}

/// Two finished runs left the same behind, bit for bit, times apart.
inline void expect_same_run(const std::filesystem::path& a, const std::filesystem::path& b) {
  expect_same_tensors(read_safetensors(a / "checkpoint.safetensors"),
                      read_safetensors(b / "checkpoint.safetensors"));
  expect_same_tensors(read_safetensors(a / "model.safetensors"),
                      read_safetensors(b / "model.safetensors"));
  EXPECT_EQ(metrics_without_times(a / "metrics.jsonl"), metrics_without_times(b / "metrics.jsonl"));
  const TrainState left = read_checkpoint_state(a / "checkpoint.safetensors");
  const TrainState right = read_checkpoint_state(b / "checkpoint.safetensors");
  EXPECT_EQ(left.step, right.step);
  EXPECT_EQ(left.best_loss, right.best_loss);
  EXPECT_EQ(left.best_step, right.best_step);
  EXPECT_EQ(left.smoothed_loss, right.smoothed_loss);
  EXPECT_EQ(left.decay, right.decay);
  EXPECT_EQ(left.without_improvement, right.without_improvement);
}

/// A run of `steps` steps that is stopped on its way and resumed leaves what it leaves undisturbed.
inline void expect_resumed_as_undisturbed(const TrainConfig& config, const ModelConfig& shape,
                                          std::int64_t steps) {
  const Directory whole;
  ASSERT_EQ(run(whole.path(), config, {}, 100, shape).status, TrainStatus::finished);
  for (const std::int64_t stop : {1, 13, 20}) {
    SCOPED_TRACE(stop);
    const Directory parts;
    StopAt stopper(stop);
    EXPECT_EQ(run(parts.path(), config, stopper.options, 100, shape).step, stop);
    TrainOptions options;
    options.resume = true;
    EXPECT_EQ(run(parts.path(), config, options, 100, shape).step, steps);
    expect_same_run(whole.path(), parts.path());
  }
}

}  // namespace sluice::training_test
