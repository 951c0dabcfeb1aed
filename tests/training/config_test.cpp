#include "sluice/training/config.hpp"

#include <gtest/gtest.h>

#include <string_view>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

void read(TrainConfig& config, const Value& object) {
  read_fields(field_parts(config), object, {.where = "training config"});
}

std::string message(const Value& object) {
  TrainConfig config;
  try {
    read(config, object);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}

TEST(TrainConfig, ReadsBack) {
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
  const Value object = write_fields(field_parts(config));
  EXPECT_EQ(*object.find("optimizer"), Value("adamw"));
  EXPECT_EQ(*object.find("schedule"), Value("plateau"));
  EXPECT_EQ(*object.find("precision"), Value("bf16"));
  TrainConfig back;
  read(back, parse_json(json_text(object), {.where = "training config"}));
  EXPECT_EQ(back, config);
}

TEST(TrainConfig, MissingFieldsKeepTheirValue) {
  TrainConfig config;
  config.batch = 99;
  read(config, Value::Object{{"context", 7}});
  EXPECT_EQ(config.batch, 99);
  EXPECT_EQ(config.context, 7);
}

TEST(TrainConfig, WhatIsWrongIsRefusedByName) {
  const auto refused = [](const char* name, const Value& value, std::string_view part) {
    const std::string found = message(Value::Object{{name, value}});
    EXPECT_NE(found.find(part), std::string::npos) << found;
  };
  refused("bacth", 3, "batch");
  refused("batch", 2.5, "'batch' must be a whole number from 1 to 16777216, got 2.5");
  refused("seed", -1, "'seed'");
  refused("steps", UINT64_MAX, "'steps'");
  refused("lr", "fast", "'lr' must be a number");
  refused("carry", 1, "'carry'");
  refused("optimizer", "adma", "adam");
  EXPECT_NE(message(Value::List{}).find("object"), std::string::npos);
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
