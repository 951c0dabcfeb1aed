#include "budget.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Budget, TheFirstThatIsUsedUpEndsTheRun) {
  TrainConfig config;
  config.steps = 100;
  config.minutes = 1;
  const Budget budget(config, 10);
  EXPECT_EQ(budget.steps(), 100);
  EXPECT_FALSE(budget.used(99, 59));
  EXPECT_TRUE(budget.used(100, 0));
  EXPECT_TRUE(budget.used(1, 60));
  EXPECT_DOUBLE_EQ(budget.fraction(25, 12), 0.25);
  EXPECT_DOUBLE_EQ(budget.fraction(25, 30), 0.5);
  EXPECT_DOUBLE_EQ(budget.fraction(150, 90), 1);
  EXPECT_DOUBLE_EQ(budget.seconds_left(90, 10, 2), 20);
  EXPECT_DOUBLE_EQ(budget.seconds_left(10, 30, 2), 30);
}

TEST(Budget, OfTimeAloneHasNoNumberOfSteps) {
  TrainConfig config;
  config.minutes = 0.5;
  const Budget budget(config, 10);
  EXPECT_EQ(budget.steps(), 0);
  EXPECT_FALSE(budget.used(1'000'000, 29));
  EXPECT_DOUBLE_EQ(budget.fraction(1'000'000, 15), 0.5);
  EXPECT_DOUBLE_EQ(budget.seconds_left(5, 40, 1), 0);
}

TEST(Budget, EpochsAreOfTheText) {
  TrainConfig config;
  config.epochs = 3;
  EXPECT_EQ(Budget(config, 10).steps(), 30);
  EXPECT_DOUBLE_EQ(Budget(config, 10).seconds_left(29, 1000, 2), 2);
}

}  // namespace
}  // namespace sluice
