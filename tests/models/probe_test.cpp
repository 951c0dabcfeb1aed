// Probes: what they see, that seeing changes nothing, and that not looking costs nothing.

#include "sluice/nn/probe.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "sluice/autograd/detail/observe.hpp"
#include "support.hpp"
#include "support/allocations.hpp"

namespace sluice {
namespace {

/// Writes down what it is shown.
class Recorder final : public Probe {
 public:
  explicit Recorder(bool all) : all_(all) {}
  bool wants(ProbePoint) const override { return all_; }
  Variable see(const ProbePlace& place, const Variable& value) override {
    static const char* const points[] = {"embedded", "projection", "unit", "gate", "output"};
    std::string name(place.layer);
    name += std::string(name.empty() ? "" : ".") + points[static_cast<int>(place.point)];
    if (!place.gate.empty()) name += "." + std::string(place.gate);
    forward.push_back(name + " " + value.shape().str());
    units.emplace_back(place.unit);
    if (place.point == ProbePoint::gate) return value;
    return observe(value, [this, name](const Tensor&) { backward.push_back(name); });
  }
  std::vector<std::string> forward, backward, units;

 private:
  bool all_;
};

struct Pass {
  double loss = 0;
  std::vector<Tensor> gradients;
  std::size_t closures = 0;
};

/// Of the second chunk of a text, with dropout.
Pass pass(LanguageModel& model, Probe* probe) {
  const auto ids = test::random_ids(12, 23, 1);
  const auto targets = test::random_ids(12, 23, 2);
  ModelState state;
  {
    const NoGrad guard;
    model.hidden(test::random_ids(12, 23, 3), 2, 6, state, {});
  }
  for (const Parameter& parameter : model.parameters()) parameter.variable.zero_grad();
  const ForwardOptions options{.training = true, .step = 4, .probe = probe};
  Tape tape;
  const Variable loss = model.loss(model.hidden(ids, 2, 6, state, options), targets, options);
  Pass pass{.loss = *loss.value().data<double>(), .gradients = {}, .closures = tape.size()};
  tape.backward(loss);
  for (const Parameter& parameter : model.parameters()) {
    if (parameter.variable.requires_grad()) {
      pass.gradients.push_back(parameter.variable.grad().clone());
    }
  }
  return pass;
}

/// Largest difference of two gradients, relative to the largest element.
double difference(const Tensor& left, const Tensor& right) {
  double largest = 1e-30;
  double most = 0;
  for (std::int64_t i = 0; i < left.elements(); ++i) {
    largest = std::max(largest, std::abs(left.data<double>()[i]));
    most = std::max(most, std::abs(left.data<double>()[i] - right.data<double>()[i]));
  }
  return most / largest;
}

std::vector<ModelConfig> configs() {
  std::vector<ModelConfig> all;
  for (const char* unit : {"glu", "gtu", "relu", "prelu", "maxout(3)", "softmax"}) {
    all.push_back(test::small_gcnn(unit));
  }
  all.push_back(test::small_gcnn());
  all.back().norm = "layer";
  for (const char* arch : {"rnn", "lstm", "gru", "indrnn", "mut1"}) {
    all.push_back(test::small_recurrent(arch));
    all.back().shape<RecurrentShape>().residual = true;
  }
  for (const char* ffn : {"swiglu", "gelu", "prelu"}) all.push_back(test::small_transformer(ffn));
  for (ModelConfig& config : all) config.dropout = 0.2F;
  return all;
}

// To 1e-12 of the largest element, in float64.
TEST(Probe, ChangesNeitherLossNorGradients) {
  for (const ModelConfig& config : configs()) {
    const auto model = make_model(config, 3, DType::f64);
    const Pass plain = pass(*model, nullptr);
    Recorder all(true);
    const Pass probed = pass(*model, &all);
    EXPECT_NEAR(probed.loss, plain.loss, 1e-12 * plain.loss) << config.summary();
    ASSERT_EQ(probed.gradients.size(), plain.gradients.size());
    for (std::size_t i = 0; i < plain.gradients.size(); ++i) {
      EXPECT_LT(difference(plain.gradients[i], probed.gradients[i]), 1e-12)
          << config.summary() << ", gradient " << i;
    }
    EXPECT_GT(all.backward.size(), 3U);
  }
}

TEST(Probe, ThatWantsNothingCostsNothing) {
  for (const ModelConfig& config : configs()) {
    const auto model = make_model(config, 3, DType::f64);
    const Pass plain = pass(*model, nullptr);
    Recorder nothing(false);
    const Pass probed = pass(*model, &nothing);
    EXPECT_EQ(probed.closures, plain.closures) << config.summary();
    EXPECT_EQ(probed.loss, plain.loss) << config.summary();
    EXPECT_TRUE(nothing.forward.empty());
    Recorder all(true);
    EXPECT_GT(pass(*model, &all).closures, plain.closures);
  }
}

TEST(Probe, LeavesNoAllocationBehind) {
  if (!test::kBuffersAreKept) GTEST_SKIP();
  const auto model = make_model(test::small_gcnn(), 3, DType::f64);
  const auto in_use_after = [&](Probe* probe) {
    pass(*model, probe);
    for (const Parameter& parameter : model->parameters()) parameter.variable.zero_grad();
    return allocator_stats().bytes_in_use;
  };
  const std::size_t plain = in_use_after(nullptr);
  Recorder all(true);
  EXPECT_EQ(in_use_after(&all), plain);
  const std::uint64_t allocations = allocator_stats().system_allocations;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(in_use_after(nullptr), plain);
  EXPECT_EQ(allocator_stats().system_allocations, allocations);
}

TEST(Probe, SeesEachLayerInOrder) {
  using Names = std::vector<std::string>;
  ModelConfig config = test::small_gcnn();
  config.shape<GcnnShape>().layers = parse_layers("[(6,3),(16,1,2)]");
  Recorder gcnn(true);
  pass(*make_model(config, 3, DType::f64), &gcnn);
  EXPECT_EQ(gcnn.forward,
            (Names{"embedded [2, 6, 6]", "layers.0.projection [12, 12]", "layers.0.unit [12, 6]",
                   "layers.0.output [2, 6, 6]", "layers.1.projection [12, 32]",
                   "layers.1.unit [12, 16]", "layers.1.output [2, 6, 16]"}));
  EXPECT_EQ(gcnn.backward,
            (Names{"layers.1.output", "layers.1.unit", "layers.1.projection", "layers.0.output",
                   "layers.0.unit", "layers.0.projection", "embedded"}));
  EXPECT_EQ(gcnn.units, (Names{"", "glu", "glu", "glu", "glu", "glu", "glu"}));

  Recorder lstm(true);
  pass(*make_model(test::small_recurrent("lstm"), 3, DType::f64), &lstm);
  EXPECT_EQ(lstm.forward, (Names{"embedded [2, 6, 6]", "layers.0.gate.input [12, 16]",
                                 "layers.0.gate.forget [12, 16]", "layers.0.gate.output [12, 16]",
                                 "layers.0.unit [2, 6, 16]", "layers.0.output [2, 6, 16]",
                                 "layers.1.gate.input [12, 16]", "layers.1.gate.forget [12, 16]",
                                 "layers.1.gate.output [12, 16]", "layers.1.unit [2, 6, 16]",
                                 "layers.1.output [2, 6, 16]"}));
  EXPECT_EQ(lstm.backward, (Names{"layers.1.output", "layers.1.unit", "layers.0.output",
                                  "layers.0.unit", "embedded"}));
  EXPECT_EQ(lstm.units[1], "lstm");

  Recorder transformer(true);
  pass(*make_model(test::small_transformer("geglu"), 3, DType::f64), &transformer);
  EXPECT_EQ(transformer.forward,
            (Names{"embedded [2, 6, 16]", "blocks.0.projection [12, 20]", "blocks.0.unit [12, 10]",
                   "blocks.0.output [2, 6, 16]", "blocks.1.projection [12, 20]",
                   "blocks.1.unit [12, 10]", "blocks.1.output [2, 6, 16]"}));
  EXPECT_EQ(transformer.units[1], "geglu");
}

}  // namespace
}  // namespace sluice
