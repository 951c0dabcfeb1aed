// One step after another: what the forward pass is told, and the seam between gradients and update.
#include "loop.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "divergence.hpp"
#include "sluice/base/error.hpp"
#include "sluice/models/recurrent.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

/// Every chunk of every step but the first, which begins the text, is the same, and starts from
/// nothing: losses differ only by what the forward pass is told.
TokenShards same_everywhere() { return {std::vector<TokenId>(330, 3), 0, vocabulary}; }

ModelConfig with_dropout(float dropout) {
  ModelConfig config = tiny_config();
  config.dropout = dropout;
  return config;
}

/// Losses of steps that learn nothing.
std::vector<double> losses(const ModelConfig& shape, const TrainConfig& config,
                           const TokenShards& text, std::int64_t steps) {
  const auto model = tiny_model(shape);
  Loop loop(*model, text, config);
  std::vector<double> out;
  for (std::int64_t step = 1; step <= steps; ++step) out.push_back(loop.step(step, 0).loss);
  return out;
}

TrainConfig without_carry() {
  TrainConfig config = tiny_training(OptimizerKind::sgd);
  config.carry = false;
  return config;
}

TEST(Loop, EveryStepHasAMaskOfItsOwn) {
  const TokenShards text = same_everywhere();
  const auto plain = losses(with_dropout(0), without_carry(), text, 6);
  EXPECT_EQ(std::set<double>(plain.begin(), plain.end()).size(), 1U);
  const auto dropped = losses(with_dropout(0.5F), without_carry(), text, 6);
  EXPECT_EQ(std::set<double>(dropped.begin(), dropped.end()).size(), 6U);
  EXPECT_EQ(losses(with_dropout(0.5F), without_carry(), text, 6), dropped);
  TrainConfig other = without_carry();
  other.seed = 2;
  EXPECT_NE(losses(with_dropout(0.5F), other, text, 1)[0], dropped[0]);
}

// From both sides: bfloat16 has 8 bits of precision, so that losses differ from float32's by less
// than a hundredth and by more than float32's own rounding, which is below a millionth.
TEST(Loop, ComputesInThePrecisionAskedFor) {
  const TokenShards text = tiny_tokens(330, 1);
  TrainConfig config = without_carry();
  const auto exact = losses(with_dropout(0), config, text, 8);
  config.precision = Precision::bf16;
  const auto rounded = losses(with_dropout(0), config, text, 8);
  double most = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double difference = std::abs(rounded[i] / exact[i] - 1);
    EXPECT_LT(difference, 1e-2) << i;
    most = std::max(most, difference);
  }
  EXPECT_GT(most, 1e-5);
}

TEST(Loop, CarriesContextOnlyWhenAskedAndWithinAnEpoch) {
  const TokenShards text = tiny_tokens(330, 1);
  TrainConfig config = without_carry();
  const auto padded = losses(with_dropout(0), config, text, 11);
  config.carry = true;
  const auto carried = losses(with_dropout(0), config, text, 11);
  EXPECT_EQ(carried[0], padded[0]) << "there is nothing to carry";
  EXPECT_NE(carried[1], padded[1]);
  EXPECT_EQ(carried[9], padded[9]) << "an epoch of 10 steps begins anew";
  EXPECT_NE(carried[10], padded[10]);
}

// A rate that carries every recurrent weight far past its bound in one step.
TEST(Loop, WeightsStayWithinTheirBound) {
  ModelConfig shape("indrnn");
  shape.vocabulary = vocabulary;
  shape.dim = 8;
  shape.softmax = "full";
  auto& recurrent = shape.shape<RecurrentShape>();
  recurrent.depth = 2;
  recurrent.hidden = 12;
  recurrent.bound = 0.5F;
  const auto model = tiny_model(shape);
  const TokenShards text = tiny_tokens(330, 1);
  const TrainConfig config = tiny_training(OptimizerKind::sgd);
  Loop loop(*model, text, config);
  loop.step(0, 100);
  float most = 0;
  for (const Parameter& parameter : model->parameters()) {
    if (!parameter.name.ends_with("weight_hh")) continue;
    for (const float u : parameter.variable.value().span<float>()) {
      most = std::max(most, std::abs(u));
    }
  }
  EXPECT_EQ(most, 0.5F);
}

class Recorder : public GradientExchange {
 public:
  MicroBatches share() const override { return {0, 1}; }
  void ready(std::size_t leaf, const MicroSum& part, GradientSlot& total) override {
    order.push_back(leaf);
    MicroSum sum = part;
    if (!forget) sum.finish(total);
  }
  void finish(std::span<double> losses) override {
    EXPECT_EQ(losses.size(), 1U);
    ++finished;
  }
  void share_values(std::span<double>) override { FAIL() << "every step sums gradients"; }
  void divide(LeafDivision) override { FAIL() << "there is one optimizer"; }
  void share_updates(std::span<const Tensor>) override { FAIL() << "there is one optimizer"; }
  std::vector<double> gather(std::span<const double> mine, std::span<const std::size_t>) override {
    ADD_FAILURE() << "there is one optimizer";
    return {mine.begin(), mine.end()};
  }

  std::vector<std::size_t> order;
  int finished = 0;
  bool forget = false;
};

TEST(Loop, GradientsPassTheExchangeBeforeTheUpdate) {
  const TokenShards text = tiny_tokens(330, 1);
  const TrainConfig config = tiny_training(OptimizerKind::adamw);
  const auto plain_model = tiny_model(), model = tiny_model();
  Recorder recorder;
  Loop plain(*plain_model, text, config), loop(*model, text, config, &recorder);
  std::vector<std::size_t> first;
  for (std::int64_t step = 0; step < 3; ++step) {
    recorder.order.clear();
    const Loop::Update update = loop.step(step, 0.01);
    // But for the rounding of the norm, whose squares are summed in another order.
    EXPECT_NEAR(update.loss, plain.step(step, 0.01).loss, 1e-5)
        << "somebody who only looks changed it";
    EXPECT_EQ(recorder.order.size(), loop.trainable().size());
    EXPECT_EQ(std::set<std::size_t>(recorder.order.begin(), recorder.order.end()).size(),
              loop.trainable().size());
    if (step == 0) first = recorder.order;
    EXPECT_EQ(recorder.order, first);
  }
  EXPECT_EQ(recorder.finished, 3);

  // What the exchange leaves in the gradients is what the update reads.
  recorder.forget = true;
  const Tensor before = loop.trainable()[0].variable.value().clone();
  recorder.order.clear();
  EXPECT_EQ(loop.step(3, 0.01).norm, 0);
  const Tensor& after = loop.trainable()[0].variable.value();
  EXPECT_EQ(std::memcmp(before.raw(), after.raw(), after.bytes()), 0);
}

TEST(Loop, SaysWhatIsNotFinite) {
  const TokenShards text = tiny_tokens(330, 1);
  const TrainConfig config = tiny_training();
  const auto model = tiny_model();
  Loop loop(*model, text, config);
  const Parameter& broken = model->parameters()[2];
  broken.variable.value().data<float>()[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(loop.step(0, 0.1), NotFinite);
  EXPECT_THROW(check_weights(model->parameters()), NotFinite);
  EXPECT_NE(suspect(model->parameters(), false).find("'" + broken.name + "'"), std::string::npos);
}

}  // namespace
}  // namespace sluice::training_test
