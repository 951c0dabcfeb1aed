#include "sluice/training/profile_report.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/eventually.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

using nlohmann::json;

ProfileEntry entry(const std::string& name, double seconds, double flops, double bytes) {
  return {.name = name, .calls = 20, .seconds = seconds, .flops = flops, .bytes = bytes};
}

TEST(ProfileReport, ShowsRatesAgainstTheCeilings) {
  const StepProfile profile{
      .steps = 10,
      .tokens = 2048,
      .seconds = 2,
      .precision = Precision::bf16,
      .entries = {entry("gemm bf16", 1, 3e11, 4e9), entry("gemm", 0.5, 5e10, 0),
                  entry("softmax", 0.25, 0, 5e9), entry("step", 0.25, 0, 0)}};
  const Ceilings ceilings{.threads = 2, .gemm_f32 = 2e11, .gemm_bf16 = 4e11, .copy = 4e10};
  EXPECT_EQ(format_profile(profile, ceilings),
            R"(profile of 10 steps of 2,048 tokens: 200.000 ms per step, 10,240 tokens/s
measured ceilings of 2 threads: float32 products 200.0 GFLOP/s, bf16 400.0, copies outside caches 40.0 GB/s

op                 ms/step   share    calls     GFLOP   GFLOP/s  of max      GB/s  of max
gemm bf16          100.000   50.0%      2.0    30.000     300.0   75.0%       4.0   10.0%
gemm                50.000   25.0%      2.0     5.000     100.0   50.0%
softmax             25.000   12.5%      2.0                                  20.0   50.0%
rest of step        25.000   12.5%      2.0
whole step         200.000  100.0%             35.000     175.0   43.8%       4.5   11.2%
)");
}

TEST(ProfileReport, WhatIsBesideTheStepIsNoPartOfIt) {
  StepProfile profile{.steps = 10, .tokens = 2048, .seconds = 2, .entries = {}};
  profile.entries = {entry("gradients exchanged", 1.5, 0, 0), entry("step", 2, 0, 0)};
  profile.entries[0].beside = true;
  const std::string text = format_profile(profile, {});
  const std::size_t whole = text.find("whole step            200.000  100.0%\n");
  const std::size_t beside = text.find(
      "\nmeanwhile, on a thread of its own\ngradients exchanged   150.000   75.0%      2.0\n");
  EXPECT_NE(whole, std::string::npos) << text;
  EXPECT_NE(beside, std::string::npos) << text;
  EXPECT_LT(whole, beside);
}

TEST(ProfileReport, NothingToShowIsNoDivisionByZero) {
  const std::string text = format_profile({}, {});
  EXPECT_EQ(text.find("nan"), std::string::npos) << text;
  EXPECT_EQ(text.find("inf"), std::string::npos) << text;
}

TEST(ProfileReport, CeilingsAreMeasured) {
  const Ceilings f32 = measure_ceilings(Precision::f32);
  EXPECT_EQ(f32.threads, thread_count());
  EXPECT_GT(f32.gemm_f32, 1e8);
  EXPECT_EQ(f32.gemm_bf16, 0);
  EXPECT_GT(f32.copy, 1e8);
}

TEST(StepProfiler, ProfilesTheStepsAfterTheWarmUp) {
  StepProfiler profiler(2);
  for (int step = 0; step < 8; ++step) {
    {
      const StepProfiler::Step guard(profiler);
      const ProfileScope op("op", 1 << step);
    }
    const ProfileScope between("between");
    EXPECT_EQ(profiler.profiled(), std::clamp(step + 1 - 3, 0, 2));
    EXPECT_EQ(profiler.done(), step >= 4);
  }
  const StepProfile profile = profiler.profile(7, Precision::bf16);
  EXPECT_EQ(profile.steps, 2);
  EXPECT_EQ(profile.tokens, 7);
  EXPECT_EQ(profile.precision, Precision::bf16);
  ASSERT_EQ(profile.entries.size(), 2U);
  double seconds = 0;
  for (const ProfileEntry& e : profile.entries) {
    seconds += e.seconds;
    EXPECT_EQ(e.calls, 2U) << e.name;
    EXPECT_EQ(e.flops, e.name == "op" ? (1 << 3) + (1 << 4) : 0) << e.name;
  }
  EXPECT_LE(seconds, profile.seconds);
}

TEST(StepProfiler, WithoutStepsItGathersNothing) {
  start_profile();
  stop_profile();
  StepProfiler profiler(0);
  for (int step = 0; step < 5; ++step) const StepProfiler::Step guard(profiler);
  EXPECT_EQ(profiler.profiled(), 0);
  EXPECT_FALSE(profiler.done());
  EXPECT_TRUE(profile_entries().empty());
}

class ProfiledTraining : public testing::Test {
 protected:
  /// A whole run of 37 steps with dropout, validation and a checkpoint every 5 steps.
  std::vector<StepProfile> train(const Directory& directory, std::int64_t steps) const {
    TrainConfig config = tiny_training();
    config.checkpoint_every = 5;
    std::vector<StepProfile> profiles;
    TrainOptions options;
    options.profile_steps = steps;
    options.callbacks.profiled = [&](const StepProfile& p) { profiles.push_back(p); };
    run(directory.path(), config, options);
    return profiles;
  }
};

TEST_F(ProfiledTraining, LearnsTheSame) {
  const Directory plain;
  const Directory profiled;
  EXPECT_TRUE(train(plain, 0).empty());
  EXPECT_FALSE(std::filesystem::exists(plain / "trace.json"));
  EXPECT_EQ(train(profiled, 12).size(), 1U);
  expect_same_run(plain.path(), profiled.path());
}

TEST_F(ProfiledTraining, ReportsEveryOpAndTracesOneStep) {
  const Directory directory;
  const std::vector<StepProfile> profiles = train(directory, 12);
  ASSERT_EQ(profiles.size(), 1U);
  const StepProfile& profile = profiles[0];
  EXPECT_EQ(profile.steps, 12);
  EXPECT_EQ(profile.tokens, 32);
  double seconds = 0;
  std::vector<std::string> names;
  for (const ProfileEntry& e : profile.entries) {
    seconds += e.seconds;
    names.push_back(e.name);
    EXPECT_EQ(e.calls % 12, 0U) << e.name << ": validations and checkpoints are no part of steps";
    if (e.name == "gemm" || e.name == "softmax" || e.name == "optimizer") {
      EXPECT_GT(e.bytes, 0) << e.name;
    }
    if (e.name == "gemm") {
      EXPECT_GT(e.flops, 0);
    }
  }
  for (const char* name : {"step", "forward", "backward", "gemm", "softmax", "optimizer", "unit"}) {
    EXPECT_NE(std::ranges::find(names, name), names.end()) << name;
  }
  EXPECT_LE(seconds, profile.seconds);
  // Another program may have had the core between two readings of the clock, not each time.
  const auto accounts_for_all = [&] {
    const Directory again;
    const StepProfile timed = train(again, 12).at(0);
    double sum = 0;
    for (const ProfileEntry& e : timed.entries) sum += e.seconds;
    return sum >= 0.9 * timed.seconds;
  };
  EXPECT_TRUE(seconds >= 0.9 * profile.seconds || eventually(accounts_for_all));

  const json trace = json::parse(read_file(directory / "trace.json"));
  int steps = 0;
  bool product = false;
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("name") == "step") ++steps;
    product = product || (event.at("name") == "gemm" && event.at("args").at("flops") > 0);
  }
  EXPECT_EQ(steps, 1);
  EXPECT_TRUE(product);
}

TEST_F(ProfiledTraining, AShortRunReportsTheStepsItHad) {
  const Directory directory;
  const std::vector<StepProfile> profiles = train(directory, 1000);
  ASSERT_EQ(profiles.size(), 1U);
  EXPECT_EQ(profiles[0].steps, 37 - profile_warmup_steps);
}

TEST_F(ProfiledTraining, ARunOfWarmUpHasNoProfile) {
  const Directory directory;
  TrainConfig config = tiny_training();
  config.steps = profile_warmup_steps;
  TrainOptions options;
  options.profile_steps = 5;
  options.callbacks.profiled = [](const StepProfile&) { FAIL(); };
  run(directory.path(), config, options);
  EXPECT_FALSE(std::filesystem::exists(directory / "trace.json"));
}

}  // namespace
}  // namespace sluice::training_test
