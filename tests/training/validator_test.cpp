#include "validator.hpp"

#include <gtest/gtest.h>

#include "divergence.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

TEST(Validator, ScoresTheTextAndStopsWhenAsked) {
  const auto model = tiny_model();
  const TokenShards text = tiny_tokens(5000, 2);
  const TrainConfig config = tiny_training();
  const Validator validator(*model, text, config);
  std::vector<double> fractions;
  const auto found = validator.validate([&](double fraction) {
    fractions.push_back(fraction);
    return true;
  });
  ASSERT_TRUE(found);
  EXPECT_EQ(found->tokens, 5000);
  EXPECT_EQ(loss_of(*found), loss_of(evaluate(*FrozenModel::freeze(*model), text)));
  ASSERT_GT(fractions.size(), 1U);
  EXPECT_EQ(fractions.back(), 1);

  int calls = 0;
  EXPECT_FALSE(validator.validate([&](double) { return ++calls < 2; }));
  EXPECT_EQ(calls, 2);

  // It can still be trained.
  ModelState state;
  std::vector<TokenId> ids(16, 1);
  Tape tape;
  tape.backward(model->loss(model->hidden(ids, 2, 8, state, {}), ids, {}));
  EXPECT_TRUE(model->parameters()[0].variable.grad().defined());

  model->parameters()[0].variable.value().data<float>()[3] =
      std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(validator.validate([](double) { return true; }), NotFinite);
}

TEST(Validator, JudgesWhatIsTheBestSoFar) {
  TrainState state;
  const auto after = [&](std::int64_t step, double loss) {
    state.step = step;
    return judge(state, loss);
  };
  EXPECT_TRUE(after(10, 3));
  EXPECT_FALSE(after(20, 3)) << "an equal one does not improve";
  EXPECT_FALSE(after(30, 4));
  EXPECT_EQ(state.best_step, 10);
  EXPECT_EQ(state.best_loss, 3);
  EXPECT_EQ(state.without_improvement, 2);
  EXPECT_EQ(state.last_validation_loss, 4);
  EXPECT_EQ(state.validated_step, 30);
  EXPECT_TRUE(after(40, 2.5));
  EXPECT_EQ(state.best_step, 40);
  EXPECT_EQ(state.without_improvement, 0);
}

}  // namespace
}  // namespace sluice::training_test
