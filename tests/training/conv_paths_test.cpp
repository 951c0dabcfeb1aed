// A model learns the same whichever way its convolutions compute.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "sluice/base/random.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/training/optimizer.hpp"

namespace sluice {
namespace {

constexpr std::int64_t kBatch = 8, kTime = 32, kSteps = 120;

/// A text with something to learn: each token follows from the one before it, three times in four.
std::vector<std::int32_t> text(std::int64_t length, std::int32_t vocabulary) {
  const RandomKey key{3, 0, 0};
  std::vector<std::int32_t> tokens{0};
  for (std::int64_t i = 1; i < length; ++i) {
    const std::uint32_t bits = key.bits(static_cast<std::uint64_t>(i));
    const auto next = static_cast<std::int32_t>(bits >> 8U) % vocabulary;
    tokens.push_back(bits % 4 == 0 ? next : (tokens.back() * 7 + 3) % vocabulary);
  }
  return tokens;
}

/// The losses of a short training. The streams of the batch stand in the order of `first`: another
/// order is the same training but for the order of sums.
std::vector<double> losses(ConvPath path, std::int64_t first = 0) {
  ModelConfig config;
  config.shape<GcnnShape>().layers = parse_layers("[(64,4,0)]*3");
  config.vocabulary = 50;
  config.dim = 64;
  config.softmax = "full";
  const auto model = make_model(config, 1);
  Optimizer optimizer(model->parameters(), {.kind = OptimizerKind::adamw});
  const auto tokens = text(kBatch * (kSteps * kTime + 1), 50);
  std::vector<double> curve;
  ModelState state;
  for (std::int64_t step = 0; step < kSteps; ++step) {
    std::vector<std::int32_t> inputs, targets;
    for (std::int64_t b = 0; b < kBatch; ++b) {
      const auto row = tokens.begin() + (b + first) % kBatch * (kSteps * kTime + 1) + step * kTime;
      inputs.insert(inputs.end(), row, row + kTime);
      targets.insert(targets.end(), row + 1, row + 1 + kTime);
    }
    const ForwardOptions options{.training = true, .conv = path};
    Tape tape;
    const Variable loss =
        model->loss(model->hidden(inputs, kBatch, kTime, state, options), targets, options);
    curve.push_back(static_cast<double>(*loss.value().data<float>()));
    tape.backward(loss);
    optimizer.step(0.002, clip_coefficient(optimizer.gradient_norm(), 1));
    optimizer.zero_gradients();
  }
  return curve;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

TEST(ConvPaths, LearnTheSameUpToTheOrderOfSums) {
  const auto direct = losses(ConvPath::direct), fast = losses(ConvPath::fast);
  double noise = 0;
  for (const std::int64_t first : {1, 3, 5}) {
    noise = std::max(noise, largest_difference(direct, losses(ConvPath::direct, first)));
  }
  EXPECT_LT(direct.back(), 0.6 * direct.front());
  EXPECT_GT(noise, 0);
  // The transforms round about four times as coarsely as a direct sum.
  EXPECT_LT(largest_difference(direct, fast), 10 * noise) << "noise " << noise;
}

}  // namespace
}  // namespace sluice
