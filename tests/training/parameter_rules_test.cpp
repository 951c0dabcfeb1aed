// Parameters that are frozen, learn at rates of their own, or are pulled back to where they began.

#include <gtest/gtest.h>

#include <cmath>

#include "sluice/base/error.hpp"
#include "sluice/training/optimizer.hpp"

namespace sluice {
namespace {

Parameters parameters() {
  Parameters all;
  for (const char* name : {"embedding.weight", "layers.0.weight_v", "layers.1.weight_v"}) {
    Tensor value(Shape{3});
    for (int i = 0; i < 3; ++i) value.data<float>()[i] = static_cast<float>(i + 1);
    all.push_back({name, Variable(value, true), {}, {}, true});
  }
  return all;
}

void set_gradients(const Parameters& all, float value) {
  for (const Parameter& parameter : all) {
    Tensor gradient(Shape{3});
    for (float& element : gradient.span<float>()) element = value;
    parameter.variable.zero_grad();
    parameter.variable.gradient()->accumulate(gradient);
  }
}

float first(const Parameters& all, std::size_t p) {
  return all[p].variable.value().data<float>()[0];
}

TEST(ParameterRules, FrozenOnesStayAndDoNotCount) {
  for (const OptimizerKind kind : {OptimizerKind::nesterov, OptimizerKind::adamw}) {
    const Parameters all = parameters();
    Optimizer optimizer(all, {.kind = kind, .weight_decay = 0.1, .freeze = {"layers.*"}});
    set_gradients(all, 2);
    EXPECT_DOUBLE_EQ(optimizer.gradient_norm(), std::sqrt(12.0));
    optimizer.step(0.5);
    EXPECT_NE(first(all, 0), 1);
    EXPECT_EQ(first(all, 1), 1);
    EXPECT_EQ(first(all, 2), 1);
  }
}

TEST(ParameterRules, RatesAreScaledByTheLastPatternThatFits) {
  const Parameters all = parameters();
  Optimizer optimizer(
      all, {.kind = OptimizerKind::sgd, .momentum = 0, .lr_scale = {"*=0.5", "layers.1.*=0.25"}});
  set_gradients(all, 1);
  optimizer.step(1);
  EXPECT_FLOAT_EQ(first(all, 0), 0.5F);
  EXPECT_FLOAT_EQ(first(all, 1), 0.5F);
  EXPECT_FLOAT_EQ(first(all, 2), 0.75F);
}

TEST(ParameterRules, WeightsArePulledToWhereTheyBegan) {
  const Parameters all = parameters();
  const OptimizerConfig config{.kind = OptimizerKind::sgd, .momentum = 0, .keep = 0.5};
  Optimizer optimizer(all, config);
  set_gradients(all, 1);
  optimizer.step(0.4);  // from 1 to 0.6
  EXPECT_FLOAT_EQ(first(all, 0), 0.6F);
  // A run that goes on knows where it began, whatever its weights are when it is built.
  Optimizer resumed(all, config);
  resumed.load_state(optimizer.state());
  set_gradients(all, 0);
  resumed.step(0.4);  // a fifth of the way back
  EXPECT_FLOAT_EQ(first(all, 0), 0.68F);
}

TEST(ParameterRules, RefusesWhatFitsNothing) {
  const auto refusal = [](OptimizerConfig config) -> std::string {
    try {
      Optimizer(parameters(), config);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal({.freeze = {"layer.0.weight_v"}}),
            "training config: field 'freeze': no parameter is named 'layer.0.weight_v'; did you "
            "mean layers.0.weight_v or layers.1.weight_v?");
  EXPECT_NE(refusal({.lr_scale = {"embedding.*"}}), "");
  EXPECT_NE(refusal({.lr_scale = {"embedding.*=-1"}}), "");
  EXPECT_NE(refusal({.lr_scale = {"nothing=1"}}), "");
}

}  // namespace
}  // namespace sluice
