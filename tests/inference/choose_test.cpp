// What is drawn, against the definitions, token by token.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "sluice/base/error.hpp"
#include "sluice/base/random.hpp"
#include "sluice/inference/sample.hpp"

namespace sluice {
namespace {

constexpr float never = -std::numeric_limits<float>::infinity();

/// Log-probabilities of n tokens, `spread` apart; some of them equal, some impossible.
std::vector<float> distribution(std::size_t n, double spread, std::uint64_t seed) {
  const RandomKey key{seed, 5, 0};
  std::vector<float> logs(n);
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    logs[i] = static_cast<float>(spread * key.normal(i));
    if (i > 0 && key.bits(i) % 7 == 0) logs[i] = logs[i - 1];
    sum += std::exp(static_cast<double>(logs[i]));
  }
  for (float& log : logs) log -= static_cast<float>(std::log(sum));
  if (n > 10) logs[n / 3] = never;
  return logs;
}

/// The set that options leave, by their definitions: p^(1/t), then set by set.
std::vector<std::pair<std::int32_t, double>> left_by_definition(const std::vector<float>& logs,
                                                                const SamplingOptions& options) {
  struct Token {
    std::int32_t id;
    double log, p;
  };
  std::vector<Token> tokens;
  const auto normalise = [&] {
    double sum = 0;
    for (const Token& token : tokens) sum += std::exp(token.log / options.temperature);
    for (Token& token : tokens) token.p = std::exp(token.log / options.temperature) / sum;
  };
  for (std::size_t i = 0; i < logs.size(); ++i) {
    if (logs[i] > never) {
      tokens.push_back({static_cast<std::int32_t>(i), static_cast<double>(logs[i]), 0});
    }
  }
  std::stable_sort(tokens.begin(), tokens.end(),
                   [](const Token& a, const Token& b) { return a.log > b.log; });
  normalise();
  if (options.top_k > 0 && tokens.size() > static_cast<std::size_t>(options.top_k)) {
    tokens.resize(static_cast<std::size_t>(options.top_k));
  }
  normalise();
  const auto keep = [&](double mass) {
    double sum = 0;
    std::size_t kept = 0;
    while (kept < tokens.size() && sum < mass) sum += tokens[kept++].p;
    tokens.resize(kept);
    normalise();
  };
  if (options.top_p < 1) keep(options.top_p);
  const double most = tokens.front().p;
  std::erase_if(tokens, [&](const Token& token) { return token.p < options.min_p * most; });
  normalise();
  if (options.typical < 1) {
    double entropy = 0;
    for (const Token& token : tokens) entropy -= token.p * std::log(token.p);
    std::stable_sort(tokens.begin(), tokens.end(), [&](const Token& a, const Token& b) {
      const double x = std::abs(-std::log(a.p) - entropy), y = std::abs(-std::log(b.p) - entropy);
      return std::abs(x - y) > 1e-12 ? x < y : a.id < b.id;
    });
    keep(options.typical);
  }
  std::vector<std::pair<std::int32_t, double>> left;
  for (const Token& token : tokens) left.emplace_back(token.id, token.p);
  return left;
}

const std::vector<SamplingOptions>& restrictions() {
  static const std::vector<SamplingOptions> all = {
      {},
      {.temperature = 0.3},
      {.temperature = 3},
      {.top_k = 1},
      {.top_k = 5},
      {.temperature = 0.7, .top_k = 40},
      {.top_k = 5000},
      {.top_p = 0.1},
      {.top_p = 0.5},
      {.top_p = 0.95},
      {.temperature = 2, .top_p = 0.999},
      {.top_k = 20, .top_p = 0.8},
      {.min_p = 0.05},
      {.temperature = 1.5, .min_p = 0.3},
      {.min_p = 1},
      {.typical = 0.2},
      {.typical = 0.9},
      {.temperature = 0.8, .top_k = 100, .top_p = 0.9, .min_p = 0.01, .typical = 0.7},
  };
  return all;
}

// Only what is left is drawn, each token about as often as its probability says: 4000 draws put
// shares within 0.04 of it, five standard deviations.
TEST(Choose, DrawsFromWhatTheDefinitionsLeave) {
  for (const std::size_t n : {std::size_t{1}, std::size_t{4}, std::size_t{300}}) {
    for (const double spread : {0.5, 3.0}) {
      const std::vector<float> logs = distribution(n, spread, n);
      for (const SamplingOptions& options : restrictions()) {
        const auto left = left_by_definition(logs, options);
        std::map<std::int32_t, double> shares;
        Sampler sampler(options);
        for (int i = 0; i < 4000; ++i) shares[sampler.draw(logs)] += 1.0 / 4000;
        for (const auto& [id, p] : left) {
          EXPECT_NEAR(shares[id], p, 0.04) << n << " " << spread << " " << id;
          shares.erase(id);
        }
        for (const auto& [id, share] : shares) EXPECT_EQ(share, 0) << "token " << id;
      }
    }
  }
}

/// The token at u of the running sum, by sorting everything.
std::int32_t at(const std::vector<float>& logs, const SamplingOptions& options, double u) {
  auto left = left_by_definition(logs, options);
  const bool all =
      options.top_k == 0 && options.top_p == 1 && options.min_p == 0 && options.typical == 1;
  std::sort(left.begin(), left.end(), [&](const auto& a, const auto& b) {
    const float x = logs[static_cast<std::size_t>(a.first)];
    const float y = logs[static_cast<std::size_t>(b.first)];
    return !all && x != y ? x > y : a.first < b.first;
  });
  double running = 0;
  for (const auto& [id, p] : left) {
    running += p;
    if (running > u) return id;
  }
  return left.back().first;
}

// Draw by draw, with the sampler's own random numbers, over a vocabulary of many blocks.
TEST(Choose, DrawsAreThoseOfTheRunningSum) {
  constexpr std::uint32_t stream = 0x73616D70;
  for (const double spread : {0.01, 1.0, 4.0}) {
    const std::vector<float> logs = distribution(3001, spread, 9);
    for (SamplingOptions options : restrictions()) {
      options.seed = 11;
      Sampler sampler(options);
      const RandomKey key{options.seed, stream, 0};
      for (std::uint64_t i = 0; i < 12; ++i) {
        EXPECT_EQ(sampler.draw(logs), at(logs, options, key.uniform_double(i)))
            << spread << " draw " << i;
      }
    }
  }
}

TEST(Choose, RulesChangeWhatIsDrawn) {
  const auto greedy = [](const std::vector<float>& logs, const TokenRules& rules,
                         const std::vector<std::int32_t>& prompt, int draws) {
    TextSampler sampler({.temperature = 0}, rules, prompt, static_cast<std::int64_t>(logs.size()));
    std::vector<float> row = logs;
    std::vector<std::int32_t> made;
    for (int i = 0; i < draws; ++i) {
      made.push_back(sampler.next(row));
      EXPECT_EQ(row, logs);
    }
    return made;
  };
  using Ids = std::vector<std::int32_t>;
  const std::vector<float> logs = {-1.0F, -1.2F, -1.5F, -3.0F};
  EXPECT_EQ(greedy(logs, {}, {}, 2), (Ids{0, 0}));
  EXPECT_EQ(greedy(logs, {.bias = {{0, -0.3}, {3, 1.7}}}, {}, 1), (Ids{1}));
  EXPECT_EQ(greedy(logs, {.bias = {{3, 2.1}}}, {}, 1), (Ids{3}));
  EXPECT_EQ(greedy(logs, {.bias = {{0, static_cast<double>(never)}}}, {}, 1), (Ids{1}));
  // -1 · 1.3 < -1.2: what the prompt has counts too.
  EXPECT_EQ(greedy(logs, {.repetition_penalty = 1.3}, {0}, 3), (Ids{1, 0, 0}));
  EXPECT_EQ(greedy(logs, {.presence_penalty = 0.3}, {0}, 3), (Ids{0, 1, 0}));
  EXPECT_EQ(greedy(logs, {.frequency_penalty = 0.15}, {}, 5), (Ids{0, 0, 1, 0, 1}));
  EXPECT_EQ(greedy(logs, {.no_repeat_ngram = 1}, {2}, 3), (Ids{0, 1, 3}));
  EXPECT_EQ(greedy(logs, {.no_repeat_ngram = 2}, {}, 6), (Ids{0, 0, 1, 0, 2, 0}));
  // 0 0 was in the prompt, so that 0 may not follow 0.
  EXPECT_EQ(greedy(logs, {.no_repeat_ngram = 2}, {0, 0}, 2), (Ids{1, 0}));
  EXPECT_THROW(greedy(logs, {.no_repeat_ngram = 1}, {0, 1, 2, 3}, 1), Error);
}

TEST(Choose, BadRulesAreRefused) {
  const auto refused = [](const TokenRules& rules) {
    EXPECT_THROW(rules.validate(4), UsageError);
    EXPECT_THROW(TextSampler({}, rules, {}, 4), UsageError);
  };
  refused({.bias = {{4, 0}}});
  refused({.bias = {{-1, 0}}});
  refused({.bias = {{0, std::nan("")}}});
  refused({.bias = {{0, std::numeric_limits<double>::infinity()}}});
  refused({.repetition_penalty = 0});
  refused({.presence_penalty = std::nan("")});
  refused({.frequency_penalty = std::numeric_limits<double>::infinity()});
  refused({.no_repeat_ngram = -1});
  EXPECT_NO_THROW(TokenRules{}.validate(4));
  EXPECT_TRUE(TokenRules{}.empty());
  for (const SamplingOptions& options : std::initializer_list<SamplingOptions>{
           {.min_p = -0.1}, {.min_p = 1.1}, {.typical = 0}, {.typical = 1.1}}) {
    EXPECT_THROW(Sampler{options}, UsageError);
  }
}

}  // namespace
}  // namespace sluice
