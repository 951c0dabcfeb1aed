#include "sluice/training/config.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

std::string message(const nlohmann::json& json) {
  TrainConfig config;
  try {
    json.get_to(config);
  } catch (const UsageError& e) {
    EXPECT_EQ(config, TrainConfig{});
    return e.what();
  }
  return "";
}

TEST(TrainConfig, JsonReadsBack) {
  TrainConfig config;
  config.batch = 3;
  config.optimizer.kind = OptimizerKind::adamw;
  config.optimizer.weight_decay = 0.1;
  config.schedule.kind = ScheduleKind::plateau;
  config.schedule.lr = 0.3;
  config.minutes = 1.5;
  config.tokens = 1'000'000'000'000;
  config.carry = false;
  config.seed = UINT64_MAX;
  config.precision = Precision::bf16;
  const nlohmann::json json = config;
  EXPECT_EQ(json.at("optimizer"), "adamw");
  EXPECT_EQ(json.at("schedule"), "plateau");
  EXPECT_EQ(json.at("precision"), "bf16");
  EXPECT_EQ(nlohmann::json::parse(json.dump()).get<TrainConfig>(), config);
}

TEST(TrainConfig, MissingFieldsKeepTheirValue) {
  TrainConfig config;
  config.batch = 99;
  nlohmann::json{{"context", 7}}.get_to(config);
  EXPECT_EQ(config.batch, 99);
  EXPECT_EQ(config.context, 7);
}

TEST(TrainConfig, BadJsonIsRefusedByName) {
  EXPECT_NE(message({{"bacth", 3}}).find("batch"), std::string::npos);
  EXPECT_NE(
      message({{"batch", 2.5}}).find("'batch' must be a whole number from 1 to 16777216, got 2.5"),
      std::string::npos);
  EXPECT_NE(message({{"seed", -1}}).find("'seed'"), std::string::npos);
  EXPECT_NE(message({{"steps", UINT64_MAX}}).find("'steps'"), std::string::npos);
  EXPECT_NE(message({{"lr", "fast"}}).find("'lr' must be a number"), std::string::npos);
  EXPECT_NE(message({{"carry", 1}}).find("'carry'"), std::string::npos);
  EXPECT_NE(message({{"batch", 5}, {"optimizer", "adma"}}).find("adam"), std::string::npos);
  EXPECT_NE(message(nlohmann::json::array()).find("object"), std::string::npos);
}

TEST(TrainConfig, TotalStepsIsTheFirstBudget) {
  TrainConfig config;
  config.batch = 4;
  config.context = 8;
  EXPECT_EQ(config.total_steps(10), 0);
  config.minutes = 1;
  EXPECT_EQ(config.total_steps(10), 0);
  config.tokens = 33;
  EXPECT_EQ(config.total_steps(10), 2);
  config.tokens = 32;
  EXPECT_EQ(config.total_steps(10), 1);
  config.tokens = 0;
  config.epochs = 3;
  EXPECT_EQ(config.total_steps(10), 30);
  config.steps = 29;
  EXPECT_EQ(config.total_steps(10), 29);
  config.steps = 31;
  EXPECT_EQ(config.total_steps(10), 30);
  config.steps = 0;
  config.epochs = INT64_MAX;
  EXPECT_EQ(config.total_steps(10), INT64_MAX);
}

TEST(TrainConfig, RefusesValuesOutOfRange) {
  TrainConfig good;
  good.steps = 1;
  EXPECT_NO_THROW(good.validate());
  const auto refused = [&](std::string_view name, auto change) {
    TrainConfig config = good;
    change(config);
    try {
      config.validate();
      ADD_FAILURE() << name;
    } catch (const UsageError& e) {
      EXPECT_NE(std::string(e.what()).find(name), std::string::npos) << e.what();
    }
  };
  refused("batch", [](TrainConfig& c) { c.batch = 0; });
  refused("batch", [](TrainConfig& c) { c.batch = INT64_MAX; });
  refused("context", [](TrainConfig& c) { c.context = -1; });
  refused("budget", [](TrainConfig& c) { c.steps = 0; });
  refused("steps", [](TrainConfig& c) { c.steps = -1; });
  refused("minutes", [](TrainConfig& c) { c.minutes = -1; });
  refused("clip", [](TrainConfig& c) { c.clip = -0.5; });
  refused("momentum", [](TrainConfig& c) { c.optimizer.momentum = 1; });
  refused("nesterov", [](TrainConfig& c) { c.optimizer.momentum = 0; });
  refused("beta2", [](TrainConfig& c) { c.optimizer.beta2 = 1; });
  refused("weight_decay", [](TrainConfig& c) { c.optimizer.weight_decay = -1; });
  refused("lr", [](TrainConfig& c) { c.schedule.lr = -1; });
  refused("patience", [](TrainConfig& c) { c.patience = -1; });
  refused("log_every", [](TrainConfig& c) { c.log_every = 0; });
}

}  // namespace
}  // namespace sluice
