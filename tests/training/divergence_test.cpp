// Runs that fail: numbers that are not finite, and models that know less than nothing.

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>

#include "sluice/base/error.hpp"
#include "sluice/training/detail/checkpoint.hpp"
#include "sluice/training/trainer.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

TEST(Train, DivergenceKeepsTheLastGoodCheckpoint) {
  const Directory directory;
  TrainConfig config = tiny_training(OptimizerKind::sgd, ScheduleKind::constant);
  config.schedule.lr = 1e30;
  config.schedule.warmup = 0;
  config.clip = 0;
  config.optimizer.momentum = 0.9;
  std::string message;
  try {
    run(directory.path(), config);
  } catch (const Error& e) {
    message = e.what();
  }
  EXPECT_NE(message.find("training diverged at step "), std::string::npos) << message;
  EXPECT_NE(message.find("learning rate 1e+30"), std::string::npos) << message;
  EXPECT_NE(message.find("checkpoint, of step 0, is kept in"), std::string::npos) << message;
  EXPECT_NE(message.find("those of '"), std::string::npos) << message;
  for (const auto& [name, tensor] : read_safetensors(directory / "checkpoint.safetensors")) {
    if (tensor.dtype() != DType::f32) continue;
    for (const float x : tensor.span<float>()) ASSERT_TRUE(std::isfinite(x)) << name;
  }
  // With another learning rate the run goes on from there.
  config.schedule.lr = 0.1;
  config.clip = 0.1;
  TrainOptions options;
  options.resume = true;
  EXPECT_EQ(run(directory.path(), config, options).status, TrainStatus::finished);
}

TEST(Train, SaysWhetherItKnowsMoreThanNothingAtTheEnd) {
  TrainConfig config = tiny_training(OptimizerKind::adam, ScheduleKind::constant);
  config.steps = 200;
  const TokenShards valid = tiny_tokens(100, 2);
  for (const bool validates : {true, false}) {
    for (const double rate : {0.01, 30.0}) {
      SCOPED_TRACE(testing::Message() << rate << (validates ? ", validating" : ""));
      config.schedule.lr = rate;
      const Directory directory;
      const auto model = tiny_model();
      const TrainResult result = train(*model, tiny_tokens(330, 1), validates ? &valid : nullptr,
                                       config, directory.path());
      EXPECT_EQ(result.status, TrainStatus::finished);
      EXPECT_DOUBLE_EQ(result.uniform_loss, std::log(24.0));
      EXPECT_EQ(result.final_loss(),
                validates ? result.last_validation_loss : result.smoothed_loss);
      EXPECT_EQ(result.wrecked(), rate > 1);
      EXPECT_TRUE(std::filesystem::exists(directory / "model.safetensors"));
      EXPECT_TRUE(std::filesystem::exists(directory / "checkpoint.safetensors"));
    }
  }
}

TEST(Train, TheFirstStepsMayBeWorseThanNothing) {
  TrainResult result;
  result.uniform_loss = 3;
  result.last_validation_loss = 3.9;
  result.step = steps_to_beat_guessing - 1;
  EXPECT_FALSE(result.wrecked());
  result.last_validation_loss = 20;
  result.smoothed_loss = 5.9;
  EXPECT_FALSE(result.wrecked()) << "running statistics that have not settled";
  result.smoothed_loss = 6.1;
  EXPECT_TRUE(result.wrecked());
  result.last_validation_loss = 3.1;
  result.step = steps_to_beat_guessing;
  EXPECT_TRUE(result.wrecked());
  result.status = TrainStatus::interrupted;
  EXPECT_FALSE(result.wrecked());
  result.status = TrainStatus::stopped_early;
  EXPECT_TRUE(result.wrecked());
  result.last_validation_loss = 2.9;
  EXPECT_FALSE(result.wrecked());
}

TEST(Train, DivergenceNamesTheFirstSuspect) {
  const Directory directory;
  const TrainConfig config = tiny_training();
  const auto model = tiny_model();
  const TokenShards valid = tiny_tokens(100, 2);
  const Parameter& broken = model->parameters()[2];
  TrainOptions options;
  options.callbacks.stepped = [&](const TrainProgress& progress) {
    if (progress.step == 12) {
      broken.variable.value().data<float>()[1] = std::numeric_limits<float>::quiet_NaN();
    }
  };
  try {
    train(*model, tiny_tokens(330, 1), &valid, config, directory.path(), options);
    FAIL();
  } catch (const Error& e) {
    const std::string message = e.what();
    EXPECT_NE(message.find("at step 13"), std::string::npos) << message;
    EXPECT_NE(message.find("'" + broken.name + "'"), std::string::npos) << message;
    EXPECT_NE(message.find("of step 10"), std::string::npos) << message;
  }
}

TEST(Train, NeverSavesWeightsThatAreNotFinite) {
  const Directory directory;
  const auto model = tiny_model();
  std::atomic<int> stop{0};
  TrainOptions options;
  options.stop = &stop;
  options.callbacks.stepped = [&](const TrainProgress& progress) {
    if (progress.step != 4) return;
    model->parameters()[0].variable.value().data<float>()[0] =
        std::numeric_limits<float>::infinity();
    stop = 2;
  };
  EXPECT_THROW(
      train(*model, tiny_tokens(330, 1), nullptr, tiny_training(), directory.path(), options),
      Error);
  EXPECT_EQ(read_checkpoint_state(directory / "checkpoint.safetensors").step, 0);
  EXPECT_FALSE(std::filesystem::exists(directory / "model.safetensors"));
}

}  // namespace
}  // namespace sluice::training_test
