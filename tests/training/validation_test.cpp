// Validations look at a model under training and change nothing of it.
#include "sluice/models/recurrent.hpp"
#include "support.hpp"

namespace sluice {
namespace {

using namespace training_test;

std::vector<Tensor> weights_after(const ModelConfig& shape, bool validates) {
  const Directory directory;
  TrainConfig config = tiny_training();
  config.steps = 12;
  config.validate_every = 2;
  const auto model = tiny_model(shape);
  const TokenShards valid = tiny_tokens(100, 2);
  train(*model, tiny_tokens(330, 1), validates ? &valid : nullptr, config, directory.path(), {});
  std::vector<Tensor> weights;
  for (const Parameter& parameter : model->parameters()) {
    weights.push_back(parameter.variable.value());
  }
  return weights;
}

TEST(Validation, LeavesTheModelAsItIs) {
  ModelConfig batch_norm = tiny_config(), lstm("lstm");
  batch_norm.norm = "batch";
  lstm.vocabulary = batch_norm.vocabulary;
  lstm.dim = batch_norm.dim;
  lstm.softmax = batch_norm.softmax;
  lstm.cutoffs = batch_norm.cutoffs;
  lstm.norm = "none";
  lstm.shape<RecurrentShape>() = {.depth = 2, .hidden = 12};
  for (const ModelConfig& shape : {tiny_config(), batch_norm, lstm}) {
    const auto with = weights_after(shape, true), without = weights_after(shape, false);
    ASSERT_EQ(with.size(), without.size());
    for (std::size_t i = 0; i < with.size(); ++i) {
      EXPECT_EQ(std::memcmp(with[i].raw(), without[i].raw(), with[i].bytes()), 0)
          << shape.arch() << " tensor " << i;
    }
  }
}

}  // namespace
}  // namespace sluice
