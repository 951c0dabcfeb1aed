// Predictions for several processes: limits and order, not measurements.
#include "sluice/training/scaling.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <vector>

#include "sluice/models/language_model.hpp"
#include "training/shapes.hpp"

namespace sluice {
namespace {

const StepCost cost{.seconds = 0.2, .tokens = 2048, .buckets = {4e6, 4e6, 4e6, 4e6}};

TEST(Scaling, OneProcessIsWhatWasMeasured) {
  const ScalingPoint alone = predict_scaling(cost, {}, 1);
  EXPECT_EQ(alone.step_seconds, cost.seconds);
  EXPECT_EQ(alone.efficiency, 1);
  EXPECT_EQ(alone.tokens_per_second, 2048 / 0.2);
  EXPECT_EQ(alone.limit, ScalingLimit::nothing);
}

TEST(Scaling, MoreProcessesAreFasterAndLessEfficient) {
  ScalingPoint before = predict_scaling(cost, {}, 1);
  for (std::int64_t n = 2; n <= 1024; n *= 2) {
    const ScalingPoint point = predict_scaling(cost, {}, n);
    EXPECT_LT(point.efficiency, before.efficiency);
    EXPECT_GT(point.tokens_per_second, before.tokens_per_second);
    EXPECT_NEAR(point.tokens_per_second, point.efficiency * static_cast<double>(n) * 2048 / 0.2,
                1e-6 * point.tokens_per_second);
    before = point;
  }
}

TEST(Scaling, SaysWhatLimits) {
  // What is in the way is 2 · 16 MB at 1 MB/s, 3 · 4 + 2 latencies of a second, or 9.6 ms of work.
  EXPECT_EQ(predict_scaling(cost, {.latency = 1e-9, .bandwidth = 1e6}, 2).limit,
            ScalingLimit::bandwidth);
  EXPECT_EQ(predict_scaling(cost, {.latency = 1, .bandwidth = 1e12}, 2).limit,
            ScalingLimit::latency);
  EXPECT_EQ(predict_scaling(cost, {.latency = 1e-9, .bandwidth = 1e12}, 2).limit,
            ScalingLimit::work);
}

// By hand: 16 MB in 4 buckets at 100 MB/s: 40 ms each with 2 processes, from when a quarter of the
// backward pass (133 ms) has made the first, so that 100 ms hide.
TEST(Scaling, HidesExchangesBehindTheBackwardPass) {
  const ScalingPoint point = predict_scaling(cost, {.latency = 0, .bandwidth = 1e8}, 2);
  const double each = 3 * 2e-6 + 0.04;
  EXPECT_NEAR(point.step_seconds, 0.2 + 0.0096 + (4 * each - 0.1) + 2 * 2e-6, 1e-9);
}

// By hand, with no latency: buckets of 1, 8 and 3 MB are complete at 10, 90 and 120 ms of a
// backward pass of 120, and take 10, 80 and 30 ms: they are there at 20, 170 and 200.
TEST(Scaling, BucketsAreAsLargeAsTheyAre) {
  const StepCost uneven{.seconds = 0.18, .tokens = 1, .buckets = {1e6, 8e6, 3e6}};
  const double rounds = 3 * 2e-6;  // of the second and the third; the first is there in time
  EXPECT_NEAR(predict_scaling(uneven, {.latency = 0, .bandwidth = 1e8}, 2).step_seconds,
              0.18 + 0.0072 + 0.08 + 2 * rounds + 2 * 2e-6, 1e-9);
  // The same bytes in a single bucket have nothing to hide behind.
  const StepCost whole{.seconds = 0.18, .tokens = 1, .buckets = {12e6}};
  EXPECT_NEAR(predict_scaling(whole, {.latency = 0, .bandwidth = 1e8}, 2).step_seconds,
              0.18 + 0.0072 + 0.12 + rounds + 2 * 2e-6, 1e-9);
}

// A process handles 2 (N - 1)/N of the bytes: 16 MB with two, 31.94 with 256.
TEST(Scaling, WorkGrowsWithTheBytesThatAreHandled) {
  const auto step = [&](std::int64_t n) {
    return predict_scaling(cost, {.latency = 0, .bandwidth = 1e15}, n).step_seconds;
  };
  const auto rounds = [](double n) { return (3 + 2) * (n - 1) * 2e-6; };  // of the last bucket
  EXPECT_NEAR(step(2), 0.2 + 0.0096 + rounds(2), 1e-7);
  EXPECT_NEAR(step(4), 0.2 + 0.0144 + rounds(4), 1e-7);
  EXPECT_NEAR(step(256), 0.2 + 0.019125 + rounds(256), 1e-7);
}

TEST(Scaling, BucketsOfAModelAreThoseOfTheExchange) {
  const auto model = make_model(training_test::tiny_config(), std::nullopt);
  const std::vector<double> buckets = gradient_buckets(*model);
  ASSERT_EQ(buckets.size(), 1U);  // far below a megabyte
  double bytes = 0;
  for (const Parameter& parameter : model->parameters()) {
    if (parameter.variable.requires_grad()) {
      bytes += 4 * static_cast<double>(parameter.variable.shape().elements());
    }
  }
  EXPECT_EQ(buckets[0], bytes);
}

// Tippett 1925 (of 2, 10, 100 and 1000), and two values' by hand: 1/√π.
TEST(Scaling, TheSlowestIsWaitedFor) {
  EXPECT_NEAR(expected_largest(1), 0, 1e-9);
  EXPECT_NEAR(expected_largest(2), 0.5641896, 1e-5);
  EXPECT_NEAR(expected_largest(10), 1.53875, 1e-4);
  EXPECT_NEAR(expected_largest(100), 2.50759, 1e-4);
  EXPECT_NEAR(expected_largest(1000), 3.24144, 1e-4);
  StepCost uneven = cost;
  uneven.deviation = 0.05;
  const Network fast{.latency = 0, .bandwidth = 1e12};
  const double even = predict_scaling(cost, fast, 2).step_seconds;
  const ScalingPoint point = predict_scaling(uneven, fast, 2);
  EXPECT_NEAR(point.step_seconds, even + 0.05 * 0.5641896, 1e-6);
  EXPECT_EQ(point.limit, ScalingLimit::slowest);
  // Of 100 steps' sums the deviation is that of ten.
  uneven.sync_every = 100;
  StepCost seldom = cost;
  seldom.sync_every = 100;
  EXPECT_NEAR(predict_scaling(uneven, fast, 2).step_seconds,
              predict_scaling(seldom, fast, 2).step_seconds + 0.05 * 0.5641896 / 10, 1e-6);
}

TEST(Scaling, TimesAreThoseBetweenLines) {
  Metrics metrics;
  EXPECT_EQ(token_times(metrics).seconds, 0);
  metrics.train = {{.step = 1, .tokens = 100, .seconds = 9}};
  EXPECT_EQ(token_times(metrics).seconds, 0);
  metrics.train[0].tokens_per_second = 50;
  EXPECT_EQ(token_times(metrics).seconds, 0.02);
  EXPECT_EQ(token_times(metrics).deviation, 0);
  // 1, 3 and 2 s for 100, 100 and 200 tokens, after a start of 9 s.
  metrics.train.push_back({.step = 2, .tokens = 200, .seconds = 10});
  metrics.train.push_back({.step = 3, .tokens = 300, .seconds = 13});
  metrics.train.push_back({.step = 5, .tokens = 500, .seconds = 15});
  const TokenTimes times = token_times(metrics);
  EXPECT_NEAR(times.seconds, 0.015, 1e-12);
  EXPECT_NEAR(times.deviation, std::sqrt((1e-4 + 9e-4 + 2 * 1e-4) / 4 - 0.015 * 0.015), 1e-12);
  // A validation at step 2 took its time of the 3 s, or of the 1 s.
  metrics.validations = {{.step = 2}};
  EXPECT_NEAR(token_times(metrics).seconds, 0.01, 1e-12);
  EXPECT_NEAR(token_times(metrics).deviation, 0, 1e-9);
  // A run that went on from an earlier step.
  metrics.train = {{.step = 2, .tokens = 100, .seconds = 9},
                   {.step = 1, .tokens = 50, .seconds = 4}};
  EXPECT_EQ(token_times(metrics).seconds, 0);
}

TEST(Scaling, SendsHalfOrNowAndThen) {
  StepCost half = cost;
  half.sent_share = 0.5;
  const Network slow{.latency = 0, .bandwidth = 1e8};
  // One bucket's 20 ms: the others hide behind the backward pass.
  EXPECT_NEAR(predict_scaling(half, slow, 2).step_seconds,
              0.2 + 0.0096 + (3 * 2e-6 + 0.02) + 2 * 2e-6, 1e-9);
  // All 160 ms of it once in 50 steps, and nothing hides it.
  StepCost seldom = cost;
  seldom.sync_every = 50;
  EXPECT_NEAR(predict_scaling(seldom, slow, 2).step_seconds,
              0.2 + (0.0096 + 4 * (3 * 2e-6 + 0.04)) / 50 + 2 * 2e-6, 1e-9);
}

}  // namespace
}  // namespace sluice
