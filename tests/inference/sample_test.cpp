#include "sluice/inference/sample.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

std::vector<float> logs(const std::vector<double>& probabilities) {
  std::vector<float> out;
  for (const double p : probabilities) out.push_back(static_cast<float>(std::log(p)));
  return out;
}

/// Shares of each token in `draws` draws.
std::vector<double> shares(const SamplingOptions& options, const std::vector<float>& distribution,
                           int draws = 20000) {
  Sampler sampler(options);
  std::vector<double> counts(distribution.size());
  for (int i = 0; i < draws; ++i) {
    counts[static_cast<std::size_t>(sampler.draw(distribution))] += 1.0 / draws;
  }
  return counts;
}

/// 20000 draws put a share within 0.015 of its probability, more than four standard deviations.
void expect_shares(const SamplingOptions& options, const std::vector<float>& distribution,
                   const std::vector<double>& expected) {
  const auto actual = shares(options, distribution);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == 0) {
      EXPECT_EQ(actual[i], 0) << i;
    } else {
      EXPECT_NEAR(actual[i], expected[i], 0.015) << i;
    }
  }
}

const std::vector<double> four = {0.1, 0.4, 0.2, 0.3};

TEST(Sample, GreedyTakesTheFirstOfTheMostProbable) {
  Sampler sampler({.temperature = 0});
  EXPECT_EQ(sampler.draw(logs({0.2, 0.4, 0.4})), 1);
  EXPECT_EQ(sampler.draw(logs({0.5, 0.25, 0.25})), 0);
}

TEST(Sample, FollowsTheDistribution) { expect_shares({}, logs(four), four); }

TEST(Sample, Temperature) {
  // p² normalised: 1, 16, 4, 9 of 30.
  expect_shares({.temperature = 0.5}, logs(four), {1 / 30.0, 16 / 30.0, 4 / 30.0, 9 / 30.0});
  expect_shares({.temperature = 1e-30}, logs(four), {0, 1, 0, 0});
  expect_shares({.temperature = 1e30}, logs(four), {0.25, 0.25, 0.25, 0.25});
}

TEST(Sample, TopK) {
  expect_shares({.top_k = 2}, logs(four), {0, 4 / 7.0, 0, 3 / 7.0});
  expect_shares({.top_k = 1}, logs(four), {0, 1, 0, 0});
  expect_shares({.top_k = 100}, logs(four), four);
  // Of equals the lower ids are kept.
  expect_shares({.top_k = 2}, logs({0.25, 0.25, 0.25, 0.25}), {0.5, 0.5, 0, 0});
}

TEST(Sample, TopP) {
  expect_shares({.top_p = 0.5}, logs(four), {0, 4 / 7.0, 0, 3 / 7.0});
  expect_shares({.top_p = 0.39}, logs(four), {0, 1, 0, 0});
  expect_shares({.top_p = 0.75}, logs(four), {0, 4 / 9.0, 2 / 9.0, 3 / 9.0});
  // The nucleus is a share of what top-k left: 4/7 of {1, 3} is already half.
  expect_shares({.top_k = 2, .top_p = 0.5}, logs(four), {0, 1, 0, 0});
  expect_shares({.top_k = 2, .top_p = 0.6}, logs(four), {0, 4 / 7.0, 0, 3 / 7.0});
}

TEST(Sample, ImpossibleTokensAreNeverDrawn) {
  constexpr float never = -std::numeric_limits<float>::infinity();
  const std::vector<float> distribution = {never, std::log(0.5F), never, std::log(0.5F), never};
  expect_shares({}, distribution, {0, 0.5, 0, 0.5, 0});
  expect_shares({.temperature = 100}, distribution, {0, 0.5, 0, 0.5, 0});
}

TEST(Sample, SeedDecidesTheDraws) {
  const auto sequence = [](std::uint64_t seed) {
    Sampler sampler({.seed = seed});
    std::vector<std::int32_t> out;
    for (int i = 0; i < 50; ++i) out.push_back(sampler.draw(logs(four)));
    return out;
  };
  EXPECT_EQ(sequence(1), sequence(1));
  EXPECT_NE(sequence(1), sequence(2));
}

TEST(Sample, BadRequestsAreRefused) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::nan("");
  for (const SamplingOptions& options :
       std::initializer_list<SamplingOptions>{{.temperature = -0.1},
                                              {.temperature = infinity},
                                              {.temperature = nan},
                                              {.top_k = -1},
                                              {.top_p = 0},
                                              {.top_p = 1.01},
                                              {.top_p = nan}}) {
    EXPECT_THROW(options.validate(), UsageError);
    EXPECT_THROW(Sampler{options}, UsageError);
  }
  EXPECT_NO_THROW((SamplingOptions{.temperature = 0, .top_k = 0, .top_p = 1}.validate()));
}

TEST(Sample, BadDistributionsAreRefused) {
  Sampler sampler({});
  EXPECT_THROW(sampler.draw({}), Error);
  EXPECT_THROW(sampler.draw(std::vector<float>{0, std::nanf("")}), Error);
  EXPECT_THROW(sampler.draw(std::vector<float>{-std::numeric_limits<float>::infinity()}), Error);
}

}  // namespace
}  // namespace sluice
