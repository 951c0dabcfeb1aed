// What requests of one engine share: the model, the queue, memory, beginnings of prompts.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include "engine_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/random.hpp"
#include "sluice/inference/session.hpp"
#include "sluice/models/recurrent.hpp"
#include "sluice/models/transformer.hpp"
#include "sluice/tensor/gemm.hpp"
#include "support.hpp"
#include "support/eventually.hpp"

namespace sluice {
namespace {

using testing_support::model;
using testing_support::random_ids;
using testing_support::Recorder;
using testing_support::submit;

constexpr std::int64_t vocabulary = 30;

std::shared_ptr<const FrozenModel> gcnn() {
  return FrozenModel::freeze(model("[(16,3)]*3", vocabulary, {10, 20}, 16));
}

std::shared_ptr<const FrozenModel> of_arch(const std::string& arch) {
  ModelConfig config(arch);
  config.vocabulary = vocabulary;
  config.dim = 48;
  config.cutoffs = {10, 20};
  if (arch == "transformer") {
    config.shape<TransformerShape>() = {.depth = 2, .heads = 2, .window = 200, .ffn_width = 96};
  } else {
    config.shape<RecurrentShape>().depth = 2;
    config.shape<RecurrentShape>().hidden = 80;
  }
  return FrozenModel::freeze(make_model(config, 3));
}

/// As wide as real ones, whose products take other ways.
std::shared_ptr<const FrozenModel> wide(WeightPrecision precision) {
  FreezeOptions options;
  options.precision = precision;
  return FrozenModel::freeze(model("[(256,4)]*2", 1200, {200, 600}, 256), options);
}

EngineRequest request(std::uint64_t seed, std::size_t prompt, std::int64_t tokens) {
  EngineRequest made;
  made.prompt = random_ids(prompt, vocabulary, seed);
  made.tokens = tokens;
  made.sampling.seed = seed;
  made.alternatives = 2;
  return made;
}

/// Everything that a request was told, to the bit.
std::vector<std::pair<std::int32_t, float>> told_of(const Recorder& recorder) {
  std::vector<std::pair<std::int32_t, float>> all;
  for (const auto* const tokens : {&recorder.prompt_tokens, &recorder.tokens}) {
    for (const EngineToken& token : *tokens) {
      if (!std::isnan(token.log_probability)) all.emplace_back(token.id, token.log_probability);
      for (const auto& other : token.alternatives)
        all.emplace_back(other.id, other.log_probability);
    }
  }
  return all;
}

// Alone, and among others that come and go, with beginnings in common or not: the same bits.
TEST(EngineSharing, DeterministicIsBitForBitWhoeverElseIsThere) {
  std::vector<std::shared_ptr<const FrozenModel>> models = {gcnn(),
                                                            of_arch("lstm"),
                                                            of_arch("gru"),
                                                            of_arch("transformer"),
                                                            wide(WeightPrecision::f32),
                                                            wide(WeightPrecision::int8)};
  if (has_bfloat16_gemm()) models.push_back(wide(WeightPrecision::bf16));
  for (const auto& frozen : models) {
    EngineOptions options{.sessions = 7, .chunk = 6};
    options.deterministic = true;
    std::vector<EngineRequest> requests;
    for (std::uint64_t i = 0; i < 24; ++i) {
      // Prompts of three families share beginnings.
      EngineRequest each = request(i % 3, 9 + i, static_cast<std::int64_t>(i % 5) * 4);
      each.sampling.seed = i;
      if (i % 4 == 0) each.echo_from = static_cast<std::int64_t>(i % 3) * 8;
      if (i % 8 == 0) each.alternatives = 0;
      requests.push_back(each);
    }
    SCOPED_TRACE(frozen->config().arch());
    Engine together(frozen, options);
    std::vector<std::shared_ptr<Recorder>> told;
    for (const EngineRequest& each : requests) told.push_back(submit(together, each));
    for (std::size_t i = 0; i < requests.size(); ++i) {
      told[i]->wait();
      EngineOptions single = options;
      single.prefixes = 0;
      Engine alone(frozen, single);
      const auto by_itself = submit(alone, requests[i]);
      by_itself->wait();
      EXPECT_EQ(told_of(*told[i]), told_of(*by_itself)) << i;
    }
    EXPECT_GT(together.counters().reused_tokens, 0U);
  }
}

// States are taken over between chunks alone, and so are kept there.
TEST(EngineSharing, DeterministicBeginningsAreReadOnceUpToAChunk) {
  EngineOptions options{.chunk = 6};
  options.deterministic = true;
  Engine engine(gcnn(), options);
  const auto reused = [&](std::uint64_t seed) {
    EngineRequest each{.prompt = random_ids(20, vocabulary), .tokens = 1};
    const auto others = random_ids(20, vocabulary, seed);
    each.prompt.insert(each.prompt.end(), others.begin(), others.end());
    return submit(engine, each)->wait().reused_tokens;
  };
  EXPECT_EQ(reused(5), 0);
  EXPECT_EQ(reused(6), 0);  // it is seen here what they have in common
  EXPECT_EQ(reused(7), 18);
}

// The bounds that EngineOptions states, against each text read token by token by itself.
void expect_bounded(const std::shared_ptr<const FrozenModel>& frozen, double bound) {
  Engine engine(frozen, {.sessions = 9});
  std::vector<std::shared_ptr<Recorder>> told;
  std::vector<EngineRequest> requests;
  for (std::uint64_t i = 0; i < 30; ++i) {
    requests.push_back(request(i, 2 + i, 5));
    requests.back().echo_from = 0;
    told.push_back(submit(engine, requests.back()));
  }
  for (std::size_t i = 0; i < told.size(); ++i) {
    told[i]->wait();
    std::vector<std::int32_t> text = requests[i].prompt;
    for (const EngineToken& token : told[i]->tokens) text.push_back(token.id);
    Session session = frozen->session();
    for (std::size_t at = 1; at < text.size(); ++at) {
      session.feed(text[at - 1]);
      const EngineToken& token = at < requests[i].prompt.size()
                                     ? told[i]->prompt_tokens[at]
                                     : told[i]->tokens[at - requests[i].prompt.size()];
      const Tensor logs = session.log_probabilities();
      EXPECT_NEAR(token.log_probability, logs.data<float>()[text[at]], bound);
    }
  }
}

TEST(EngineSharing, WithoutItRoundingIsBounded) {
  expect_bounded(gcnn(), 1e-4);
  expect_bounded(wide(WeightPrecision::f32), 1e-4);
  expect_bounded(wide(WeightPrecision::int8), 1e-4);
  if (has_bfloat16_gemm()) expect_bounded(wide(WeightPrecision::bf16), 0.05);
}

TEST(EngineSharing, ABeginningThatPromptsShareIsReadOnce) {
  const auto frozen = gcnn();
  const std::vector<std::int32_t> beginning = random_ids(100, vocabulary);
  // Samples of one prompt that come at once, then others that only begin alike.
  Engine engine(frozen, {.sessions = 8, .chunk = 16});
  std::vector<std::shared_ptr<Recorder>> told;
  for (std::uint64_t i = 0; i < 8; ++i) {
    EngineRequest each{.prompt = beginning, .tokens = 5};
    each.sampling.seed = i;
    told.push_back(submit(engine, each));
  }
  std::int64_t reused = 0;
  for (const auto& each : told) reused += each->wait().reused_tokens;
  EXPECT_EQ(reused, 700);
  EXPECT_EQ(engine.counters().read_tokens, 100U);
  EXPECT_EQ(engine.counters().reused_tokens, 700U);
  for (std::uint64_t i = 0; i < 3; ++i) {
    EngineRequest each{.prompt = beginning, .tokens = 1};
    each.prompt.resize(60);
    each.prompt.push_back(static_cast<std::int32_t>(i));
    submit(engine, each)->wait();
  }
  // The first of these read all of its 61 tokens, and was then remembered at the 60th.
  EXPECT_EQ(engine.counters().read_tokens, 100U + 61U + 2U);

  // A text is continued where it ended.
  EngineRequest again{.prompt = beginning, .tokens = 3};
  const auto before = submit(engine, again);
  before->wait();
  for (const std::int32_t id : before->ids()) again.prompt.push_back(id);
  EXPECT_EQ(submit(engine, again)->wait().reused_tokens, 102);

  Engine forgetful(frozen, {.prefixes = 0});
  for (int i = 0; i < 2; ++i) submit(forgetful, {.prompt = beginning, .tokens = 1})->wait();
  EXPECT_EQ(forgetful.counters().read_tokens, 200U);
}

TEST(EngineSharing, RememberedBeginningsAreBounded) {
  const auto frozen = gcnn();
  Engine engine(frozen, {.prefixes = 5});
  for (std::uint64_t i = 0; i < 20; ++i) submit(engine, request(i, 30, 3))->wait();
  EXPECT_LE(engine.counters().remembered_prefixes, 5);
  Session session = frozen->session();
  session.feed(random_ids(30, vocabulary));
  Engine small(frozen, {.prefix_bytes = 3 * session.bytes()});
  for (std::uint64_t i = 0; i < 20; ++i) submit(small, request(i, 30, 3))->wait();
  EXPECT_LE(small.counters().prefix_bytes, 3 * session.bytes());
  EXPECT_GT(small.counters().prefix_bytes, 0U);
}

/// Holds the engine's thread in a call until it is let go.
class Holding : public Recorder {
 public:
  Holding() {
    on_token = [this](const EngineToken&) {
      if (!reached_) held_.set_value();
      reached_ = true;
      go_.wait();
      return true;
    };
  }
  void wait_until_held() { held_.get_future().wait(); }
  void let_go() { let_go_.set_value(); }

 private:
  bool reached_ = false;
  std::promise<void> held_, let_go_;
  std::shared_future<void> go_ = let_go_.get_future().share();
};

TEST(EngineSharing, TheQueueIsBounded) {
  Engine engine(gcnn(), {.sessions = 1, .queue = 2});
  const auto first = std::make_shared<Holding>();
  engine.submit(request(1, 2, 3), first);
  first->wait_until_held();
  const auto second = submit(engine, request(2, 2, 3));
  const auto third = submit(engine, request(3, 2, 3));
  EXPECT_THROW(submit(engine, request(4, 2, 3)), EngineBusy);
  EXPECT_EQ(engine.counters().refused, 1U);
  EXPECT_EQ(engine.counters().waiting, 2);
  first->let_go();
  EXPECT_EQ(third->wait().reason, EndReason::length);
  EXPECT_EQ(second->wait().reason, EndReason::length);
  EXPECT_TRUE(engine.drain(patience));
  EXPECT_THROW(submit(engine, request(4, 2, 3)), EngineStopped);
}

// One key's many do not keep another's few waiting: keys take turns.
TEST(EngineSharing, KeysTakeTurns) {
  Engine engine(gcnn(), {.sessions = 1});
  const auto first = std::make_shared<Holding>();
  engine.submit(request(1, 2, 1), first);
  first->wait_until_held();
  std::mutex mutex;
  std::string order;
  std::vector<std::shared_ptr<Recorder>> told;
  for (const std::string key : {"a", "a", "a", "a", "b", "b", "c"}) {
    EngineRequest each = request(1, 2, 1);
    each.key = key;
    told.push_back(std::make_shared<Recorder>());
    told.back()->on_token = [&, key](const EngineToken&) {
      const std::lock_guard lock(mutex);
      order += key;
      return true;
    };
    engine.submit(each, told.back());
  }
  first->let_go();
  for (const auto& each : told) each->wait();
  EXPECT_EQ(order, "abcabaa");
}

TEST(EngineSharing, CancelledRequestsEnd) {
  Engine engine(gcnn(), {.sessions = 1});
  const auto first = std::make_shared<Holding>();
  const EngineHandle running = engine.submit(request(1, 2, 1000000), first);
  first->wait_until_held();
  const auto second = std::make_shared<Recorder>();
  const EngineHandle waiting = engine.submit(request(2, 2, 3), second);
  waiting.cancel();
  running.cancel();
  first->let_go();
  EXPECT_EQ(first->wait().reason, EndReason::cancelled);
  EXPECT_EQ(first->tokens.size(), 1U);
  EXPECT_EQ(second->wait().reason, EndReason::cancelled);
  EXPECT_TRUE(second->tokens.empty());
  EngineHandle().cancel();
  waiting.cancel();
}

/// Asks again when it is told that its request is done.
class AsksAgain : public Recorder {
 public:
  explicit AsksAgain(Engine& engine) : engine_(engine) {}
  void done(const EngineResult& how) override {
    try {
      next = submit(engine_, request(2, 2, 3));
    } catch (const EngineBusy&) {
      // There is no place.
    }
    Recorder::done(how);
  }
  std::shared_ptr<Recorder> next;

 private:
  Engine& engine_;
};

TEST(EngineSharing, APlaceIsFreeWhenItsRequestIsToldToBeDone) {
  EngineOptions options{.sessions = 1};
  options.queue = 0;
  Engine engine(gcnn(), options);
  const auto first = std::make_shared<AsksAgain>(engine);
  engine.submit(request(1, 2, 3), first);
  first->wait();
  ASSERT_NE(first->next, nullptr) << "refused";
  EXPECT_EQ(first->next->wait().reason, EndReason::length);
}

TEST(EngineSharing, StoppingTellsEveryone) {
  std::vector<std::shared_ptr<Recorder>> told;
  {
    Engine engine(gcnn(), {.sessions = 2});
    for (std::uint64_t i = 0; i < 6; ++i) told.push_back(submit(engine, request(i, 5, 1000000)));
    EXPECT_FALSE(engine.drain(std::chrono::milliseconds(1)));
  }
  for (const auto& each : told) {
    EXPECT_EQ(each->times_done, 1);
    EXPECT_EQ(each->result.reason, EndReason::cancelled);
  }
}

// States beyond the limit wait for others to end, and the text is what it would have been.
TEST(EngineSharing, MemoryIsBounded) {
  const auto frozen = of_arch("transformer");
  Session session = frozen->session();
  session.feed(random_ids(60, vocabulary));
  EngineOptions options{.sessions = 6, .chunk = 20, .prefixes = 0};
  options.state_bytes = session.bytes() * 2;
  Engine engine(frozen, options);
  std::vector<std::shared_ptr<Recorder>> told;
  for (std::uint64_t i = 0; i < 6; ++i) told.push_back(submit(engine, request(i, 30, 30)));
  for (std::uint64_t i = 0; i < 6; ++i) {
    EXPECT_EQ(told[i]->wait().reason, EndReason::length) << told[i]->result.error;
    Engine alone(frozen);
    const auto by_itself = submit(alone, request(i, 30, 30));
    by_itself->wait();
    EXPECT_EQ(told[i]->ids(), by_itself->ids()) << i;
  }
  options.state_bytes = session.bytes() / 2;
  Engine tiny(frozen, options);
  const auto large = submit(tiny, request(1, 60, 5));
  const auto small = submit(tiny, request(2, 3, 2));
  EXPECT_EQ(large->wait().reason, EndReason::error);
  EXPECT_NE(large->result.error.find("bytes"), std::string::npos) << large->result.error;
  EXPECT_EQ(small->wait().reason, EndReason::length) << small->result.error;
}

// A request that comes while others make tokens has its first one before they have another; and
// they have one between two such.
TEST(EngineSharing, FirstTokensComeBeforeTheNextOfOthers) {
  for (const bool deterministic : {false, true}) {
    EngineOptions options{.sessions = 8, .chunk = 16, .prefixes = 0};
    options.deterministic = deterministic;
    Engine engine(gcnn(), options);
    // All are told by the engine's thread, one after another.
    std::vector<std::size_t> order;
    std::vector<std::shared_ptr<Recorder>> told(6);
    bool last_told = false;
    for (std::size_t i = 0; i < told.size(); ++i) {
      told[i] = std::make_shared<Recorder>();
      told[i]->on_token = [&, i, made = 0](const EngineToken&) mutable {
        order.push_back(i);
        last_told = last_told || i + 1 == told.size();
        if (++made == (i == 2 ? 3 : 1) && i >= 2 && i + 1 < told.size()) {
          engine.submit(request(i, 10, 1), told[i + 1]);
        }
        return i >= 3 || !last_told;  // the first three go on as long as there are others
      };
    }
    for (std::size_t i = 0; i < 3; ++i) engine.submit(request(i, 4, 1'000'000), told[i]);
    for (std::size_t i = 0; i < told.size(); ++i) {
      EXPECT_EQ(told[i]->wait().reason, i < 3 ? EndReason::listener : EndReason::length);
    }
    const auto first = std::find(order.begin(), order.end(), 3);
    ASSERT_NE(first, order.end());
    EXPECT_EQ(*(first - 1), 2U);
    EXPECT_EQ(std::count(order.begin(), first, 2U), 3);
    for (std::size_t i = 3; i + 1 < told.size(); ++i) {
      const auto one = std::find(order.begin(), order.end(), i);
      const auto next = std::find(one, order.end(), i + 1);
      for (std::size_t maker = 0; maker < 3; ++maker) {
        EXPECT_GE(std::count(one, next, maker), 1) << maker << " between " << i << " and " << i + 1;
      }
    }
  }
}

// Many threads submit and cancel at random moments; each is told once, nothing is left behind.
TEST(EngineSharing, ManyThreadsAtOnce) {
  Engine engine(gcnn(), {.sessions = 6, .queue = 20, .chunk = 8, .prefixes = 4});
  std::atomic<int> refused = 0, done = 0, accepted = 0;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      const RandomKey key{t, 1, 0};
      for (std::uint64_t i = 0; i < 25; ++i) {
        EngineRequest each =
            request(key.bits(4 * i) % 5, 1 + key.bits(4 * i + 1) % 40, key.bits(4 * i + 2) % 20);
        each.key = std::to_string(t % 3);
        if (i % 3 == 0) each.echo_from = 0;
        const auto told = std::make_shared<Recorder>();
        const std::uint32_t how = key.bits(4 * i + 3) % 4;
        told->on_token = [&, how](const EngineToken&) { return how != 1; };
        try {
          const EngineHandle handle = engine.submit(each, told);
          ++accepted;
          if (how == 0) handle.cancel();
          if (how == 2) std::this_thread::yield();
          if (how == 2) handle.cancel();
          told->wait();
          EXPECT_EQ(told->times_done, 1);
          ++done;
        } catch (const EngineBusy&) {
          ++refused;
        }
        engine.counters();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(engine.drain(patience));
  const EngineCounters counters = engine.counters();
  EXPECT_EQ(done, accepted);
  EXPECT_EQ(counters.accepted, static_cast<std::uint64_t>(accepted));
  EXPECT_EQ(counters.refused, static_cast<std::uint64_t>(refused));
  EXPECT_EQ(counters.running, 0);
  EXPECT_EQ(counters.waiting, 0);
  EXPECT_EQ(counters.session_bytes, 0U);
  std::uint64_t ended = 0;
  for (const std::uint64_t count : counters.ended) ended += count;
  EXPECT_EQ(ended, counters.accepted);
  EXPECT_EQ(counters.batch.count, counters.passes);
  EXPECT_EQ(counters.first_token.count + counters.between_tokens.count, counters.made_tokens);
}

}  // namespace
}  // namespace sluice
