// What training_memory_estimate says against what training takes.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sluice/models/memory.hpp"
#include "sluice/tensor/tensor.hpp"
#include "sluice/training/defaults.hpp"
#include "sluice/training/trainer.hpp"
#include "support/allocations.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

constexpr std::int64_t kVocabulary = 500;

TrainConfig config() {
  TrainConfig config = tiny_training(OptimizerKind::adamw);
  config.batch = 8;
  config.context = 64;
  config.steps = 3;
  config.conv = ConvPath::direct;  // filters kept transformed are not part of the estimate
  return config;
}

/// The most bytes that tensors took while training this model, in a process of its own: the
/// allocator's peak is a process's. 0 when it failed.
std::size_t peak_of(const ModelConfig& shape, const TrainConfig& training) {
  int ends[2];
  if (::pipe(ends) != 0) return 0;
  const pid_t child = ::fork();
  if (child == 0) {
    std::size_t peak = 0;
    try {
      const Directory directory;
      const auto model = make_model(shape, 1);
      const TokenShards tokens(std::vector<TokenId>(4000, 1), 0, kVocabulary);
      train(*model, tokens, nullptr, training, directory.path());
      peak = allocator_stats().peak_bytes_in_use;
    } catch (...) {
      peak = 0;
    }
    const bool written = ::write(ends[1], &peak, sizeof peak) == sizeof peak;
    ::_exit(written ? 0 : 1);
  }
  ::close(ends[1]);
  std::size_t peak = 0;
  const bool read = ::read(ends[0], &peak, sizeof peak) == sizeof peak;
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return read ? peak : 0;
}

// Of the shapes that small texts get: measured, the estimate is 0.84 to 1.21 of what is taken.
TEST(Memory, EstimateIsWhatTrainingTakes) {
  if (!test::kBuffersAreKept) GTEST_SKIP() << "the allocator does not keep buffers";
  for (const std::string& arch : architecture_names()) {
    for (const bool recompute : {false, true}) {
      TrainConfig training = config();
      training.recompute = recompute;
      Notes ignored;
      const ModelConfig shape = choose_model(
          read_model_request(Value::Object{{"arch", arch}}, {.where = "model config"},
                             default_architecture()),
          {.tokens = 1'000'000, .vocabulary = kVocabulary, .context = training.context}, ignored);
      const auto estimate = static_cast<double>(
          training_memory_estimate(shape, training.batch, training.context, 2, training.recompute));
      const auto peak = static_cast<double>(peak_of(shape, training));
      ASSERT_GT(peak, 1e6) << arch;
      EXPECT_GT(estimate / peak, 0.75) << arch << (recompute ? ", recomputing" : "");
      EXPECT_LT(estimate / peak, 1.35) << arch << (recompute ? ", recomputing" : "");
    }
  }
}

}  // namespace
}  // namespace sluice::training_test
