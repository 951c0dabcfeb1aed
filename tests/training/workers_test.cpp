// Workers that learn by themselves and are synchronised now and then (TrainConfig::sync_every).
#include <gtest/gtest.h>

#include "loop.hpp"
#include "run_facts.hpp"
#include "sluice/base/error.hpp"
#include "training/shapes.hpp"

namespace sluice::training_test {
namespace {

/// Three workers of a stream each.
TrainConfig of_workers(std::int64_t sync_every, OptimizerKind optimizer = OptimizerKind::adamw) {
  TrainConfig config = tiny_training(optimizer);
  config.batch = 1;
  config.accumulate = 3;
  config.sync_every = sync_every;
  return config;
}

ModelConfig without_dropout() {
  ModelConfig config = tiny_config();
  config.dropout = 0;
  return config;
}

void expect_near(const LanguageModel& a, const LanguageModel& b) {
  for (std::size_t i = 0; i < a.parameters().size(); ++i) {
    const auto x = a.parameters()[i].variable.value().span<float>();
    const auto y = b.parameters()[i].variable.value().span<float>();
    for (std::size_t j = 0; j < x.size(); ++j) {
      ASSERT_NEAR(x[j], y[j], 5e-5) << a.parameters()[i].name;
    }
  }
}

// One step of plain descent is its gradient times its rate: what the outer optimizer sees is then
// the mean gradient, and makes of it what it would make of a large batch's.
TEST(Workers, TheOuterUpdateIsNesterovsOfTheMeanDifference) {
  const TokenShards text = tiny_tokens(330, 1);
  for (const double momentum : {0.0, 0.9}) {
    TrainConfig local = of_workers(1, OptimizerKind::sgd);
    local.optimizer.momentum = 0;
    local.clip = 0;
    local.outer_lr = 0.5;
    local.outer_momentum = momentum;
    TrainConfig together = local;
    together.sync_every = 0;
    together.optimizer.momentum = momentum;
    if (momentum > 0) together.optimizer.kind = OptimizerKind::nesterov;
    const auto a = tiny_model(without_dropout()), b = tiny_model(without_dropout());
    Loop workers(*a, text, local), one(*b, text, together);
    for (std::int64_t step = 0; step < 5; ++step) {
      const double loss = workers.step(step, 0.2).loss;
      EXPECT_NEAR(loss, one.step(step, 0.5 * 0.2).loss, 1e-5) << step;
      EXPECT_TRUE(workers.settled());
      expect_near(*a, *b);
    }
  }
}

TEST(Workers, LearnByThemselvesBetweenSynchronisations) {
  const TokenShards text = tiny_tokens(330, 1);
  const TrainConfig config = of_workers(3);
  const auto model = tiny_model();
  Loop loop(*model, text, config);
  const auto common = [&] { return parameters_checksum(model->parameters()); };
  const auto of_worker = [&](std::int64_t micro) {
    const LocalWorkers::Turn turn(*loop.workers(), micro);
    return common();
  };
  const std::string first = common();
  for (std::int64_t step = 0; step < 2; ++step) {
    loop.step(step, 0.01);
    EXPECT_EQ(common(), first) << "the model is that of the last synchronisation";
    EXPECT_FALSE(loop.settled());
    EXPECT_NE(of_worker(0), first);
    EXPECT_NE(of_worker(0), of_worker(1));
    EXPECT_NE(of_worker(1), of_worker(2));
  }
  loop.step(2, 0.01);
  EXPECT_TRUE(loop.settled());
  const std::string second = common();
  EXPECT_NE(second, first);
  for (std::int64_t micro = 0; micro < 3; ++micro) EXPECT_EQ(of_worker(micro), second);
  loop.settle();
  EXPECT_EQ(common(), second) << "there was nothing to settle";
  loop.step(3, 0.01);
  loop.settle();
  EXPECT_NE(common(), second);
}

using Kind = std::pair<const char*, const char*>;

class WorkersArchitecture : public testing::TestWithParam<Kind> {};

INSTANTIATE_TEST_SUITE_P(All, WorkersArchitecture,
                         testing::Values(Kind{"gcnn", "batch"}, Kind{"lstm", "batch"},
                                         Kind{"transformer", "layer"}),
                         [](const auto& each) {
                           return std::string(each.param.first) + "_" + each.param.second;
                         });

// The checkpoint of a step between two synchronisations has all workers' weights; the last step
// settles what is left.
TEST_P(WorkersArchitecture, ResumedEqualsTheUninterruptedRun) {
  const ModelConfig shape = tiny_shape(GetParam().first, GetParam().second);
  TrainConfig config = of_workers(5);
  config.validate_every = 7;
  expect_resumed_as_undisturbed(config, shape, 37);
}

TEST(Workers, ValidationsWaitForASynchronisation) {
  TrainConfig config = of_workers(5);
  config.validate_every = 7;
  const Directory directory;
  std::vector<std::int64_t> validated;
  TrainOptions options;
  options.callbacks.validated = [&](const ValidationReport& report) {
    validated.push_back(report.step);
  };
  run(directory.path(), config, options);
  EXPECT_EQ(validated, (std::vector<std::int64_t>{10, 15, 25, 30, 35, 37}));
}

TEST(Workers, WhatDoesNotFitIsRefused) {
  TrainConfig alone = of_workers(5);
  alone.accumulate = 1;
  EXPECT_THROW(alone.validate(), UsageError);
  const Directory directory;
  StopAt stopper(3);
  run(directory.path(), of_workers(5), stopper.options);
  TrainOptions options;
  options.resume = true;
  try {
    run(directory.path(), of_workers(4), options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("its sync_every is 5, that of this run is 4"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace sluice::training_test
