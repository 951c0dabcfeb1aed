// Learning from a text in documents.

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "loop.hpp"
#include "sluice/inference/evaluate.hpp"
#include "training/shapes.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

/// Chunks of 4 tokens: 3 + 1 + 2, then 2 + 1 + 3, so that each of two streams begins with one.
TokenShards text_in_documents() {
  const std::vector<std::int64_t> ends = {11, 12, 19, 27, 28, 37};
  return tiny_tokens(37, 5).in_documents(std::make_shared<const DocumentEnds>(ends));
}

class Documents : public testing::TestWithParam<const char*> {};

// What an epoch's steps lose is what each document costs by itself: nothing is seen across borders,
// padding does not count, and every target does once, however the step is divided.
TEST_P(Documents, AreLearntFromAsIfEachWereAlone) {
  const std::string arch = GetParam();
  ModelConfig config = tiny_shape(arch, arch == "gcnn" ? "weight" : "none");
  config.dropout = 0;
  const TokenShards text = text_in_documents();
  for (const bool learned : {false, true}) {
    if (learned && arch != "transformer") continue;
    if (learned) config.shape<TransformerShape>().positions = "learned";
    const auto model = make_model(config, 3);
    const double expected = evaluate(*FrozenModel::freeze(*model), text).nll;
    for (const std::int64_t micro : {1, 2}) {
      TrainConfig training;
      training.batch = 2 / micro;
      training.accumulate = micro;
      training.context = 4;
      training.epochs = 2;
      Loop loop(*model, text, training);
      ASSERT_EQ(loop.steps_per_epoch(), 6);
      EXPECT_EQ(loop.tokens_per_step(), 6);
      const BatchStream stream(text, 2, 4);
      for (const std::int64_t epoch : {0, 1}) {
        double lost = 0;
        for (std::int64_t step = 6 * epoch; step < 6 * epoch + 6; ++step) {
          const Loop::Update update = loop.step(step, 0);  // the weights stay
          EXPECT_GT(update.norm, 0);
          lost += update.loss * static_cast<double>(stream.targets_of(step, {0, 2}));
        }
        EXPECT_NEAR(lost, expected, 1e-5 * expected) << arch << ", accumulate " << micro;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Documents,
                         testing::Values("gcnn", "rnn", "lstm", "gru", "indrnn", "mut1",
                                         "transformer"));

// The gradient is that of the mean over the targets, whatever rows they stand in.
TEST(DocumentLoop, MicroBatchesAreOneLargeBatch) {
  ModelConfig config = tiny_config();
  config.dropout = 0;
  const TokenShards text = text_in_documents();
  const auto a = make_model(config, 3), b = make_model(config, 3);
  TrainConfig one, two;
  one.batch = 2;
  two.accumulate = 2;
  two.batch = 1;
  one.context = two.context = 4;
  one.epochs = two.epochs = 1;
  Loop large(*a, text, one), parts(*b, text, two);
  for (std::int64_t step = 0; step < 6; ++step) {
    const Loop::Update expected = large.step(step, 0.01), got = parts.step(step, 0.01);
    EXPECT_NEAR(got.loss, expected.loss, 2e-5 * expected.loss) << step;
    EXPECT_NEAR(got.norm, expected.norm, 2e-4 * expected.norm) << step;
  }
}

}  // namespace
}  // namespace sluice::training_test
