#include "sluice/inference/engine.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <new>

#include "engine_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/session.hpp"
#include "support.hpp"
#include "support/eventually.hpp"

namespace sluice {
namespace {

using testing_support::model;
using testing_support::random_ids;
using testing_support::Recorder;
using testing_support::submit;

constexpr std::int64_t vocabulary = 30;

class EngineTest : public testing::Test {
 protected:
  EngineTest() : frozen_(FrozenModel::freeze(model("[(16,3)]*3", vocabulary, {10, 20}, 16))) {}

  /// What a session alone makes.
  std::vector<std::int32_t> alone(const EngineRequest& request) const {
    Session session = frozen_->session();
    session.feed(request.prompt);
    Sampler sampler(request.sampling);
    std::vector<std::int32_t> made;
    while (static_cast<std::int64_t>(made.size()) < request.tokens) {
      made.push_back(sampler.draw(session.log_probabilities().span<float>()));
      if (request.end && made.back() == *request.end) break;
      session.feed(made.back());
    }
    return made;
  }

  static EngineRequest request(std::uint64_t seed, std::size_t prompt, std::int64_t tokens) {
    EngineRequest made;
    made.prompt = random_ids(prompt, vocabulary, seed);
    made.tokens = tokens;
    made.sampling.seed = seed;
    return made;
  }

  std::shared_ptr<const FrozenModel> frozen_;
};

TEST_F(EngineTest, MakesWhatEachTextAloneMakes) {
  for (const bool deterministic : {false, true}) {
    EngineOptions options;
    options.sessions = 5;
    options.chunk = 7;
    options.deterministic = deterministic;
    Engine engine(frozen_, options);
    std::vector<EngineRequest> requests;
    std::vector<std::shared_ptr<Recorder>> told;
    for (std::uint64_t i = 0; i < 40; ++i) {
      requests.push_back(request(i, 1 + i * 3, static_cast<std::int64_t>(i % 9) * 3));
      told.push_back(submit(engine, requests.back()));
    }
    for (std::size_t i = 0; i < told.size(); ++i) {
      const EngineResult& result = told[i]->wait();
      EXPECT_EQ(result.reason, EndReason::length) << result.error;
      EXPECT_EQ(told[i]->ids(), alone(requests[i])) << i;
      EXPECT_EQ(result.made_tokens, requests[i].tokens);
    }
    EXPECT_TRUE(engine.drain(patience));
    const EngineCounters counters = engine.counters();
    EXPECT_EQ(counters.running, 0);
    EXPECT_EQ(counters.waiting, 0);
    EXPECT_EQ(counters.accepted, 40U);
    EXPECT_EQ(counters.ended[static_cast<int>(EndReason::length)], 40U);
  }
}

/// ln p of each of `ids` from the second on, by a session that reads them one by one.
std::vector<std::vector<float>> rows_of(const FrozenModel& model,
                                        const std::vector<std::int32_t>& ids) {
  Session session = model.session();
  std::vector<std::vector<float>> rows;
  for (const std::int32_t id : ids) {
    session.feed(id);
    const Tensor logs = session.log_probabilities();
    rows.emplace_back(logs.span<float>().begin(), logs.span<float>().end());
  }
  return rows;
}

// The prompt's own log-probabilities and the best alternatives, with chunks across them, whatever
// else is read beside.
TEST_F(EngineTest, TellsLogProbabilitiesOfPromptsAndAlternatives) {
  for (const bool deterministic : {false, true}) {
    Engine engine(frozen_, {.chunk = 5, .deterministic = deterministic});
    for (const std::int64_t alternatives : {0, 1, 3, 20}) {
      for (const std::int64_t from : {0, 1, 7, 23, 24}) {
        EngineRequest asked = request(3, 24, from % 2 == 0 ? 2 : 0);
        asked.alternatives = alternatives;
        asked.echo_from = from;
        const auto told = submit(engine, asked);
        EXPECT_EQ(told->wait().reason, EndReason::length) << told->result.error;
        ASSERT_EQ(told->prompt_tokens.size(), static_cast<std::size_t>(24 - from));
        ASSERT_EQ(told->tokens.size(), static_cast<std::size_t>(asked.tokens));
        std::vector<std::int32_t> text = asked.prompt;
        for (const EngineToken& token : told->tokens) text.push_back(token.id);
        const auto rows = rows_of(*frozen_, text);
        std::vector<EngineToken> all = told->prompt_tokens;
        all.insert(all.end(), told->tokens.begin(), told->tokens.end());
        for (std::size_t i = 0; i < all.size(); ++i) {
          const std::size_t at = static_cast<std::size_t>(from) + i;
          EXPECT_EQ(all[i].id, text[at]);
          if (at == 0) {
            EXPECT_TRUE(std::isnan(all[i].log_probability));
            EXPECT_TRUE(all[i].alternatives.empty());
            continue;
          }
          const std::vector<float>& row = rows[at - 1];
          EXPECT_NEAR(all[i].log_probability, row[static_cast<std::size_t>(all[i].id)], 1e-4);
          ASSERT_EQ(all[i].alternatives.size(), static_cast<std::size_t>(alternatives));
          std::vector<float> sorted = row;
          std::sort(sorted.begin(), sorted.end(), std::greater<>());
          for (std::size_t k = 0; k < all[i].alternatives.size(); ++k) {
            const EngineToken::Alternative& other = all[i].alternatives[k];
            EXPECT_NEAR(other.log_probability, sorted[k], 1e-4);
            // Equality tells whether a token is the most probable one.
            if (other.id == all[i].id) {
              EXPECT_EQ(other.log_probability, all[i].log_probability);
            }
          }
        }
      }
    }
  }
}

TEST_F(EngineTest, EndsWhereItIsTold) {
  Engine engine(frozen_);
  EngineRequest asked = request(1, 4, 50);
  const std::vector<std::int32_t> made = alone(asked);
  asked.end = made[10];
  const auto at = std::find(made.begin(), made.end(), made[10]) - made.begin();
  auto told = submit(engine, asked);
  EXPECT_EQ(told->wait().reason, EndReason::end_token);
  EXPECT_EQ(told->ids(), (std::vector<std::int32_t>{made.begin(), made.begin() + at + 1}));

  asked.end.reset();
  told = std::make_shared<Recorder>();
  told->on_token = [&](const EngineToken&) { return told->tokens.size() < 7; };
  engine.submit(asked, told);
  EXPECT_EQ(told->wait().reason, EndReason::listener);
  EXPECT_EQ(told->ids(), (std::vector<std::int32_t>{made.begin(), made.begin() + 7}));

  told = std::make_shared<Recorder>();
  told->on_token = [&](const EngineToken&) -> bool { throw Error("enough"); };
  engine.submit(asked, told);
  EXPECT_EQ(told->wait().reason, EndReason::error);
  EXPECT_EQ(told->result.error, "enough");

  told = std::make_shared<Recorder>();
  told->on_token = [&](const EngineToken&) -> bool { throw std::bad_alloc(); };
  engine.submit(asked, told);
  EXPECT_EQ(told->wait().reason, EndReason::error);
  EXPECT_EQ(told->result.error, "there is not enough memory");

  // Nothing to make: the prompt is read, and that is all.
  asked.tokens = 0;
  told = submit(engine, asked);
  EXPECT_EQ(told->wait().reason, EndReason::length);
  EXPECT_TRUE(told->tokens.empty());
}

TEST_F(EngineTest, RulesAndSamplingAreEachRequestsOwn) {
  Engine engine(frozen_);
  std::vector<std::shared_ptr<Recorder>> told;
  for (std::int32_t banned = 0; banned < 8; ++banned) {
    EngineRequest asked = request(5, 3, 40);
    asked.sampling.temperature = 2;
    asked.rules.bias = {{banned, -std::numeric_limits<double>::infinity()}};
    told.push_back(submit(engine, asked));
  }
  for (std::int32_t banned = 0; banned < 8; ++banned) {
    const auto& each = told[static_cast<std::size_t>(banned)];
    EXPECT_EQ(each->wait().reason, EndReason::length);
    const std::vector<std::int32_t> ids = each->ids();
    EXPECT_EQ(std::count(ids.begin(), ids.end(), banned), 0);
  }
}

TEST_F(EngineTest, OneRequestsFailureIsItsOwn) {
  Engine engine(frozen_);
  EngineRequest impossible = request(1, 3, 10);
  for (std::int32_t id = 0; id < vocabulary; ++id) {
    impossible.rules.bias.push_back({id, -std::numeric_limits<double>::infinity()});
  }
  const auto bad = submit(engine, impossible);
  const auto good = submit(engine, request(2, 3, 10));
  EXPECT_EQ(bad->wait().reason, EndReason::error);
  EXPECT_NE(bad->result.error.find("no token has a finite log-probability"), std::string::npos);
  EXPECT_EQ(good->wait().reason, EndReason::length);
  EXPECT_EQ(good->ids(), alone(request(2, 3, 10)));
}

TEST_F(EngineTest, BadRequestsAreRefused) {
  Engine engine(frozen_);
  const auto refused = [&](auto change) {
    EngineRequest asked = request(1, 3, 4);
    change(asked);
    EXPECT_THROW(engine.submit(asked, std::make_shared<Recorder>()), UsageError);
  };
  refused([](EngineRequest& r) { r.prompt.clear(); });
  refused([](EngineRequest& r) { r.prompt[1] = vocabulary; });
  refused([](EngineRequest& r) { r.prompt[1] = -1; });
  refused([](EngineRequest& r) { r.tokens = -1; });
  refused([](EngineRequest& r) { r.alternatives = 21; });
  refused([](EngineRequest& r) { r.alternatives = -1; });
  refused([](EngineRequest& r) { r.echo_from = 4; });
  refused([](EngineRequest& r) { r.echo_from = -1; });
  refused([](EngineRequest& r) { r.end = vocabulary; });
  refused([](EngineRequest& r) { r.sampling.top_p = 0; });
  refused([](EngineRequest& r) { r.rules.repetition_penalty = 0; });
  EXPECT_THROW(engine.submit(request(1, 3, 4), nullptr), UsageError);
  EXPECT_THROW(Engine(nullptr), UsageError);
  for (const EngineOptions& options : std::initializer_list<EngineOptions>{
           {.sessions = 0}, {.queue = -1}, {.chunk = 0}, {.prefixes = -1}}) {
    EXPECT_THROW(Engine(frozen_, options), UsageError);
  }
  EXPECT_EQ(engine.counters().accepted, 0U);
}

}  // namespace
}  // namespace sluice
