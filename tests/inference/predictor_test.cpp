#include "sluice/inference/predictor.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "sluice/base/error.hpp"
#include "sluice/inference/session.hpp"
#include "support.hpp"

namespace sluice {
namespace {

using testing_support::model;
using testing_support::random_ids;

constexpr std::int64_t vocabulary = 30;
/// Sums in another order, of log-probabilities of a few nats.
constexpr double tolerance = 2e-5;

std::shared_ptr<const FrozenModel> frozen(std::int64_t cutoff) {
  return FrozenModel::freeze(
      *model("[(12,3)] + [(6,1,0),(6,3,0),(12,1,3)]", vocabulary,
             cutoff > 0 ? std::vector<std::int64_t>{cutoff} : std::vector<std::int64_t>{}));
}

std::vector<double> by_session(const std::shared_ptr<const FrozenModel>& model,
                               const std::vector<std::int32_t>& ids) {
  Session session(model);
  std::vector<double> nll;
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
    session.feed(ids[i]);
    nll.push_back(-session.log_probabilities().data<float>()[ids[i + 1]]);
  }
  return nll;
}

std::vector<double> settled_nll(const Predictor& predictor, PredictorState& state,
                                Predictor::Ids ids) {
  PredictorState* const one = &state;
  return predictor.nll({&one, 1}, {&ids, 1}, Predictor::Reading::whole);
}

// Whatever is asked in whatever order, the answers are those of a text read token by token.
TEST(Predictor, AnswersAsASessionDoes) {
  for (const std::int64_t cutoff : {0, 12}) {
    const auto model = frozen(cutoff);
    const auto predictor = make_predictor(model);
    const auto ids = random_ids(40, vocabulary);
    const std::vector<double> expected = by_session(model, ids);
    const std::span<const std::int32_t> all(ids);
    for (const std::size_t cut : {1, 2, 7, 38, 39}) {
      for (const bool ask_between : {false, true}) {
        PredictorState state;
        predictor->feed(state, all.first(cut));
        if (ask_between) {
          const Tensor logs = predictor->log_probabilities(state);
          EXPECT_NEAR(-logs.data<float>()[ids[cut]], expected[cut - 1], tolerance);
        }
        PredictorState copy = state;
        const std::vector<double> nll = predictor->nll(state, all.subspan(cut));
        ASSERT_EQ(nll.size(), ids.size() - cut);
        for (std::size_t i = 0; i < nll.size(); ++i) {
          EXPECT_NEAR(nll[i], expected[cut - 1 + i], tolerance) << cut << " " << i;
        }
        PredictorState settled = copy;
        const std::vector<double> also = settled_nll(*predictor, settled, all.subspan(cut));
        ASSERT_EQ(also.size(), nll.size());
        for (std::size_t i = 0; i < nll.size(); ++i) EXPECT_NEAR(also[i], nll[i], tolerance);
        EXPECT_NEAR(predictor->log_probabilities(settled).data<float>()[3],
                    predictor->log_probabilities(state).data<float>()[3], tolerance);
        // A copy is where it was.
        EXPECT_NEAR(predictor->nll(copy, all.subspan(cut, 1))[0], expected[cut - 1], tolerance);
      }
    }
  }
}

TEST(Predictor, TextsOfTheirOwnLengthsInOneCall) {
  const auto model = frozen(12);
  const auto predictor = make_predictor(model);
  // More rows than a pass has, one text alone longer than it.
  const std::vector<std::size_t> lengths = {1, 5000, 0, 3, 700, 2};
  std::vector<std::vector<std::int32_t>> texts;
  std::vector<PredictorState> states(lengths.size());
  std::vector<PredictorState*> pointers;
  std::vector<Predictor::Ids> ids;
  const std::int32_t start = 3;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    texts.push_back(random_ids(lengths[i], vocabulary, i));
    predictor->feed(states[i], {&start, 1});
    if (i % 2 == 0) predictor->log_probabilities(states[i]);
  }
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    pointers.push_back(&states[i]);
    ids.emplace_back(texts[i]);
  }
  const std::vector<double> nll = predictor->nll(pointers, ids);
  std::size_t at = 0;
  for (const auto& text : texts) {
    std::vector<std::int32_t> whole = {start};
    whole.insert(whole.end(), text.begin(), text.end());
    for (const double expected : by_session(model, whole)) {
      EXPECT_NEAR(nll[at++], expected, 1e-4);
    }
  }
  EXPECT_EQ(at, nll.size());
}

TEST(Predictor, MixesInProbability) {
  const auto a = make_predictor(frozen(0));
  const auto b = make_predictor(FrozenModel::freeze(*model("[(8,2)]*2", vocabulary)));
  const auto mixed = make_mixture({{a, 0.3}, {b, 0.7}});
  EXPECT_FALSE(mixed->predicts_start());
  const auto ids = random_ids(20, vocabulary);
  const std::span<const std::int32_t> all(ids);
  PredictorState of_a, of_b, of_mixed;
  a->feed(of_a, all.first(1));
  b->feed(of_b, all.first(1));
  mixed->feed(of_mixed, all.first(1));
  PredictorState asked = of_mixed;
  const Tensor logs = mixed->log_probabilities(asked);
  double sum = 0;
  for (const float log : logs.span<float>()) sum += std::exp(log);
  EXPECT_NEAR(sum, 1, 1e-5);
  const auto nll_a = a->nll(of_a, all.subspan(1)), nll_b = b->nll(of_b, all.subspan(1));
  const auto nll = mixed->nll(of_mixed, all.subspan(1));
  for (std::size_t i = 0; i < nll.size(); ++i) {
    EXPECT_NEAR(std::exp(-nll[i]), 0.3 * std::exp(-nll_a[i]) + 0.7 * std::exp(-nll_b[i]), 1e-9);
  }
  EXPECT_NEAR(-logs.data<float>()[ids[1]], nll[0], tolerance);

  EXPECT_THROW(make_mixture({}), UsageError);
  EXPECT_THROW(make_mixture({{a, 0.3}, {b, 0.6}}), UsageError);
  EXPECT_THROW(make_mixture({{a, -0.5}, {b, 1.5}}), UsageError);
  const auto other = make_predictor(FrozenModel::freeze(*model("[(8,2)]", vocabulary + 1)));
  EXPECT_THROW(make_mixture({{a, 0.5}, {other, 0.5}}), Error);
}

TEST(Predictor, ThreadsShareOne) {
  const auto model = frozen(0);
  const auto predictor = make_predictor(model);
  std::vector<std::thread> threads;
  std::vector<double> sums(4);
  const auto ids = random_ids(30, vocabulary);
  for (double& sum : sums) {
    threads.emplace_back([&] {
      PredictorState state;
      predictor->feed(state, std::span(ids).first(1));
      for (const double nll : predictor->nll(state, std::span(ids).subspan(1))) sum += nll;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const double sum : sums) EXPECT_EQ(sum, sums[0]);
}

TEST(Predictor, BadRequestsAreRefused) {
  const auto predictor = make_predictor(frozen(0));
  PredictorState state;
  const std::int32_t id = 1, outside = vocabulary;
  EXPECT_THROW(predictor->nll(state, {&id, 1}), Error) << "nothing was read";
  EXPECT_THROW(predictor->log_probabilities(state), Error);
  EXPECT_THROW(predictor->feed(state, {&outside, 1}), Error);
  PredictorState* const twice[] = {&state, &state};
  const Predictor::Ids ids[] = {{&id, 1}, {&id, 1}};
  EXPECT_THROW(predictor->feed(twice, ids), Error);
  EXPECT_THROW(predictor->feed(std::span(twice).first(1), ids), Error);
}

}  // namespace
}  // namespace sluice
