#include "beam.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sluice/base/error.hpp"
#include "sluice/inference/session.hpp"
#include "support.hpp"

namespace sluice {
namespace {

using testing_support::model;
using testing_support::random_ids;

constexpr std::int64_t vocabulary = 5;
constexpr std::int32_t end = 2;

bool ends_with_end(std::span<const std::int32_t> made) { return made.back() == end; }

/// All continuations of at most `tokens`, those that end with `end` sooner among them, with their
/// scores, the best first.
void extend(const Session& session, const BeamHypothesis& made, double sum,
            const BeamOptions& options, std::vector<BeamHypothesis>& all) {
  const bool ended = !made.ids.empty() && made.ids.back() == end;
  if (ended || static_cast<std::int64_t>(made.ids.size()) == options.tokens) {
    all.push_back(made);
    all.back().score = sum / std::pow(static_cast<double>(made.ids.size()), options.length_penalty);
    all.back().ended = ended;
    return;
  }
  const Tensor logs = session.log_probabilities();
  for (std::int32_t id = 0; id < vocabulary; ++id) {
    const float log = logs.data<float>()[id];
    double changed = static_cast<double>(log);
    bool allowed = true;
    for (const TokenRules::Bias& bias : options.rules.bias) {
      if (bias.id == id) changed += bias.bias;
      if (bias.id == id && std::isinf(bias.bias)) allowed = false;
    }
    if (!allowed) continue;
    Session next = session;
    next.feed(id);
    BeamHypothesis longer = made;
    longer.ids.push_back(id);
    longer.log_probabilities.push_back(log);
    extend(next, longer, sum + changed, options, all);
  }
}

TEST(Beam, AWideOneFindsTheBestOfAll) {
  const auto frozen = FrozenModel::freeze(model("[(12,3)]*2", vocabulary));
  for (const std::vector<std::int32_t>& prompt :
       {random_ids(1, vocabulary), random_ids(6, vocabulary)}) {
    for (const double penalty : {0.0, 0.7, 1.0, 2.0}) {
      BeamOptions options{.beam = 1000, .tokens = 4, .length_penalty = penalty};
      if (penalty == 0.7) {
        options.rules.bias = {{1, 0.5}, {3, -std::numeric_limits<double>::infinity()}};
      }
      Session session = frozen->session();
      session.feed(prompt);
      std::vector<BeamHypothesis> all;
      extend(session, {}, 0, options, all);
      std::sort(all.begin(), all.end(),
                [](const BeamHypothesis& a, const BeamHypothesis& b) { return a.score > b.score; });
      const auto found = beam_search(*frozen, prompt, options, ends_with_end);
      ASSERT_EQ(found.size(), all.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        EXPECT_NEAR(found[i].score, all[i].score, 1e-4) << i;
      }
      EXPECT_EQ(found.front().ids, all.front().ids);
      EXPECT_EQ(found.front().ended, all.front().ended);
      for (std::size_t t = 0; t < found.front().ids.size(); ++t) {
        EXPECT_NEAR(found.front().log_probabilities[t], all.front().log_probabilities[t], 1e-4);
      }
    }
  }
}

TEST(Beam, OneIsGreedy) {
  const auto frozen = FrozenModel::freeze(model("[(12,3)]*2", 40, {10}));
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    const std::vector<std::int32_t> prompt = random_ids(3, 40, seed);
    Session session = frozen->session();
    session.feed(prompt);
    TextSampler greedy({.temperature = 0}, {.no_repeat_ngram = 2}, prompt, 40);
    std::vector<std::int32_t> expected;
    for (int i = 0; i < 20; ++i) {
      const Tensor logs = session.log_probabilities();
      expected.push_back(greedy.next(logs.span<float>()));
      session.feed(expected.back());
    }
    const auto found =
        beam_search(*frozen, prompt, {.beam = 1, .tokens = 20, .rules = {.no_repeat_ngram = 2}});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found.front().ids, expected);
    EXPECT_FALSE(found.front().ended);
    const std::int32_t last = expected[7];
    const auto shorter =
        beam_search(*frozen, prompt, {.beam = 1, .tokens = 20, .rules = {.no_repeat_ngram = 2}},
                    [&](std::span<const std::int32_t> made) { return made.back() == last; });
    const auto at = std::find(expected.begin(), expected.end(), last);
    EXPECT_EQ(shorter.front().ids, std::vector<std::int32_t>(expected.begin(), at + 1));
    EXPECT_TRUE(shorter.front().ended);
  }
}

// More of a beam is never worth less, where lengths are alike.
TEST(Beam, WiderIsNoWorse) {
  const auto frozen = FrozenModel::freeze(model("[(12,3)]*2", 40, {10}));
  const std::vector<std::int32_t> prompt = random_ids(3, 40, 4);
  double best = -std::numeric_limits<double>::infinity();
  for (const std::int64_t beam : {1, 4, 64}) {
    const auto found = beam_search(*frozen, prompt, {.beam = beam, .tokens = 5});
    EXPECT_EQ(found.size(), static_cast<std::size_t>(beam));
    EXPECT_GE(found.front().score, best - 1e-6);
    best = found.front().score;
    EXPECT_TRUE(std::is_sorted(
        found.begin(), found.end(),
        [](const BeamHypothesis& a, const BeamHypothesis& b) { return a.score > b.score; }));
  }
}

TEST(Beam, BadRequestsAreRefused) {
  const auto frozen = FrozenModel::freeze(model("[(12,3)]", vocabulary));
  const std::vector<std::int32_t> prompt = {1};
  EXPECT_THROW(beam_search(*frozen, {}, {}), UsageError);
  EXPECT_THROW(beam_search(*frozen, prompt, {.beam = 0}), UsageError);
  EXPECT_THROW(beam_search(*frozen, prompt, {.tokens = -1}), UsageError);
  EXPECT_THROW(beam_search(*frozen, prompt, {.length_penalty = std::nan("")}), UsageError);
  EXPECT_THROW(beam_search(*frozen, prompt, {.rules = {.bias = {{vocabulary, 0}}}}), UsageError);
  EXPECT_THROW(beam_search(*frozen, std::vector<std::int32_t>{vocabulary}, {}), Error);
  const auto none = beam_search(*frozen, prompt, {.beam = 3, .tokens = 0});
  ASSERT_EQ(none.size(), 1U);
  EXPECT_TRUE(none.front().ids.empty());
  TokenRules nothing;
  for (std::int32_t id = 0; id < vocabulary; ++id) {
    nothing.bias.push_back({id, -std::numeric_limits<double>::infinity()});
  }
  EXPECT_TRUE(beam_search(*frozen, prompt, {.rules = nothing}).front().ids.empty());
}

}  // namespace
}  // namespace sluice
