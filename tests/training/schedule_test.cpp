#include "sluice/training/schedule.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

struct Case {
  ScheduleKind kind;
  std::int64_t warmup;
  double floor;
  std::int64_t step;
  double progress;
  double rate;
};

TEST(Schedule, Rates) {
  const std::vector<Case> cases{
      {ScheduleKind::constant, 0, 0.01, 0, 0, 2},
      {ScheduleKind::constant, 0, 0.01, 1000, 1, 2},
      {ScheduleKind::constant, 4, 0.01, 0, 0, 0.5},
      {ScheduleKind::constant, 4, 0.01, 2, 0, 1.5},
      {ScheduleKind::constant, 4, 0.01, 3, 0, 2},
      {ScheduleKind::constant, 4, 0.01, 4, 0, 2},
      {ScheduleKind::cosine, 0, 0, 0, 0, 2},
      {ScheduleKind::cosine, 0, 0, 7, 0.5, 1},
      {ScheduleKind::cosine, 0, 0, 7, 0.25, 1.7071067811865475},
      {ScheduleKind::cosine, 0, 0, 7, 1, 0},
      {ScheduleKind::cosine, 0, 0.1, 7, 1, 0.2},
      {ScheduleKind::cosine, 0, 0.1, 7, 0.5, 1.1},
      {ScheduleKind::cosine, 0, 0.1, 7, 1.5, 0.2},
      {ScheduleKind::cosine, 10, 0, 4, 0.5, 0.5},
      {ScheduleKind::plateau, 0, 0, 99, 0.9, 2},
      {ScheduleKind::plateau, 2, 0, 0, 0, 1},
  };
  for (const Case& c : cases) {
    ScheduleConfig config;
    config.kind = c.kind;
    config.lr = 2;
    config.warmup = c.warmup;
    config.floor = c.floor;
    EXPECT_NEAR(Schedule(config).rate(c.step, c.progress), c.rate, 1e-12)
        << name_of(c.kind) << " warmup " << c.warmup << " step " << c.step << " progress "
        << c.progress;
  }
}

TEST(Schedule, PlateauHalvesWhenValidationDoesNotImprove) {
  ScheduleConfig config;
  config.kind = ScheduleKind::plateau;
  config.lr = 1;
  Schedule schedule(config);
  const std::vector<std::pair<bool, double>> validations{
      {true, 1}, {false, 0.5}, {true, 0.5}, {false, 0.25}, {false, 0.125}};
  for (const auto& [improved, rate] : validations) {
    schedule.validated(improved);
    EXPECT_EQ(schedule.rate(100, 0.5), rate);
  }
  Schedule resumed(config);
  resumed.set_decay(schedule.decay());
  EXPECT_EQ(resumed.rate(100, 0.5), 0.125);
}

TEST(Schedule, OthersIgnoreValidation) {
  for (const ScheduleKind kind : {ScheduleKind::cosine, ScheduleKind::constant}) {
    ScheduleConfig config;
    config.kind = kind;
    Schedule schedule(config);
    const double before = schedule.rate(3, 0.3);
    schedule.validated(false);
    EXPECT_EQ(schedule.rate(3, 0.3), before);
  }
}

TEST(Schedule, RefusesValuesOutOfRange) {
  const auto refused = [](auto change) {
    ScheduleConfig config;
    change(config);
    EXPECT_THROW(Schedule{config}, UsageError);
  };
  refused([](ScheduleConfig& c) { c.lr = 0; });
  refused([](ScheduleConfig& c) { c.lr = std::numeric_limits<double>::infinity(); });
  refused([](ScheduleConfig& c) { c.lr = std::numeric_limits<double>::quiet_NaN(); });
  refused([](ScheduleConfig& c) { c.warmup = -1; });
  refused([](ScheduleConfig& c) { c.floor = 1.5; });
  refused([](ScheduleConfig& c) { c.factor = 1; });
}

TEST(Schedule, NamesReadBack) {
  for (const std::string& name : enum_names(ScheduleKind{}).names()) {
    EXPECT_EQ(name_of(parse_enum<ScheduleKind>(name)), name);
  }
  try {
    parse_enum<ScheduleKind>("cosin");
    FAIL();
  } catch (const UsageError& e) {
    EXPECT_NE(std::string(e.what()).find("cosine"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace sluice
