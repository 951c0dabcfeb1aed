#include "sluice/inference/engine.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "engine_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/session.hpp"
#include "support.hpp"

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
    EXPECT_TRUE(engine.drain(std::chrono::seconds(10)));
    const EngineCounters counters = engine.counters();
    EXPECT_EQ(counters.running, 0);
    EXPECT_EQ(counters.waiting, 0);
    EXPECT_EQ(counters.accepted, 40U);
    EXPECT_EQ(counters.ended[static_cast<int>(EndReason::length)], 40U);
  }
}

}  // namespace
}  // namespace sluice
