#include "sluice/nn/unit_layer.hpp"

#include <gtest/gtest.h>

#include "sluice/base/error.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

using test::check_gradients;
using test::random_tensor;
using test::weighted_sum;

const RandomKey kKey{5, 6, 7};

std::vector<std::string> every_spec() {
  std::vector<std::string> specs = model_unit_names();
  specs.insert(specs.end(), {"prelu(shared)", "swish(shared)", "rrelu(0.2,0.3)", "gelu(stochastic)",
                             "maxout(3)", "elu(0.5)", "a*elu(0.5)(b)", "leaky_relu(0.2)(a)*b"});
  return specs;
}

TEST(UnitLayer, GradientsOfEveryUnitAndItsParameters) {
  for (const std::string& spec : every_spec()) {
    SCOPED_TRACE(spec);
    const UnitLayer layer(spec, 5, DType::f64, {3, 1});
    EXPECT_EQ(layer.spec().name(), spec);
    const Variable z(random_tensor({6, layer.inputs()}, 4), true);
    Parameters parameters;
    layer.collect(parameters, "unit.");
    EXPECT_EQ(parameter_count(parameters), layer.parameter_count());
    std::vector<Variable> inputs{z};
    for (const Parameter& parameter : parameters) {
      EXPECT_FALSE(parameter.decay);
      inputs.push_back(parameter.variable);
    }
    EXPECT_EQ(layer.forward(z, true, kKey).shape(), (Shape{6, 5}));
    check_gradients(inputs, [&] { return weighted_sum(layer.forward(z, true, kKey)); });
  }
}

TEST(UnitLayer, ParametersAndTheirFirstValues) {
  Parameters parameters;
  UnitLayer("prelu", 3, DType::f64, {1, 1}).collect(parameters, "a.");
  UnitLayer("swish(shared)", 3, DType::f64, {1, 1}).collect(parameters, "b.");
  UnitLayer("prelu", 3, DType::f64, {std::nullopt, 1}).collect(parameters, "c.");
  ASSERT_EQ(parameters.size(), 3U);
  EXPECT_EQ(parameters[0].name, "a.weight");
  EXPECT_EQ(parameters[0].variable.shape(), Shape{3});
  EXPECT_EQ(parameters[0].variable.value().data<double>()[2], 0.25);
  EXPECT_EQ(parameters[1].name, "b.beta");
  EXPECT_EQ(parameters[1].variable.shape(), Shape{1});
  EXPECT_EQ(parameters[1].variable.value().data<double>()[0], 1);
  EXPECT_EQ(parameters[2].variable.value().data<double>()[0], 0);
}

TEST(UnitLayer, OnlyRandomUnitsDependOnTraining) {
  for (const std::string& spec : every_spec()) {
    const UnitLayer layer(spec, 5, DType::f64, {3, 1});
    const Variable z(random_tensor({6, layer.inputs()}, 4));
    const Tensor training = layer.forward(z, true, kKey).value();
    const Tensor evaluation = layer.forward(z, false, kKey).value();
    bool same = true;
    for (std::int64_t i = 0; i < 30; ++i) {
      same = same && training.data<double>()[i] == evaluation.data<double>()[i];
    }
    EXPECT_EQ(same, !spec.starts_with("rrelu") && spec != "gelu(stochastic)") << spec;
  }
}

// A row of the output depends on that row of the input alone.
TEST(UnitLayer, PositionsDoNotMix) {
  for (const std::string& spec : every_spec()) {
    const UnitLayer layer(spec, 5, DType::f64, {3, 1});
    const Tensor z = random_tensor({6, layer.inputs()}, 4);
    const Tensor before = layer.forward(Variable(z), true, kKey).value();
    for (std::int64_t i = 0; i < layer.inputs(); ++i) z.data<double>()[3 * layer.inputs() + i] += 1;
    const Tensor after = layer.forward(Variable(z), true, kKey).value();
    for (std::int64_t i = 0; i < 30; ++i) {
      if (i / 5 == 3) continue;
      EXPECT_EQ(before.data<double>()[i], after.data<double>()[i]) << spec;
    }
  }
}

TEST(UnitLayer, FusedUnits) {
  EXPECT_TRUE(UnitLayer("glu", 4, DType::f32, {}).fused());
  EXPECT_EQ(UnitLayer("glu", 4, DType::f32, {}).unit(), parse_unit("glu"));
  EXPECT_EQ(UnitLayer("glu", 4, DType::f32, {}).inputs(), 8);
  EXPECT_EQ(UnitLayer("maxout(3)", 4, DType::f32, {}).inputs(), 12);
  EXPECT_FALSE(UnitLayer("prelu", 4, DType::f32, {}).fused());
  EXPECT_THROW(UnitLayer("prelu", 4, DType::f32, {}).unit(), Error);
}

// E[max²]: 1 of two normal variates, 1 + √3 / (2π) of three.
TEST(UnitLayer, Gains) {
  EXPECT_NEAR(parse_unit_spec("maxout").gain(), 1, 1e-12);
  EXPECT_NEAR(parse_unit_spec("maxout(3)").gain(), 1 / std::sqrt(1 + std::sqrt(3.0) / (2 * M_PI)),
              1e-12);
  EXPECT_DOUBLE_EQ(parse_unit_spec("glu").gain(), 2);
  EXPECT_DOUBLE_EQ(parse_unit_spec("prelu").gain(), std::sqrt(2 / (1 + 0.0625)));
  EXPECT_DOUBLE_EQ(parse_unit_spec("rrelu(0.5,0.5)").gain(), std::sqrt(2 / 1.25));
  EXPECT_DOUBLE_EQ(parse_unit_spec("softmax").gain(), 1);
}

template <class Call>
std::string refusal(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(UnitLayer, UnderscoresDoNotMatter) {
  const auto same = [](const char* a, const char* b) {
    EXPECT_EQ(parse_unit_spec(a).name(), parse_unit_spec(b).name());
  };
  same("hard_sigmoid", "hardsigmoid");
  same("hard_tanh(-2,2)", "hardtanh(-2,2)");
  same("leakyrelu(0.2)", "leaky_relu(0.2)");
  same("hard_sigmoid(a)*b", "hardsigmoid(a)*b");
  same("logsoftmax", "log_softmax");
  EXPECT_THROW(parse_unit_spec("hard-tanh"), UsageError);
  EXPECT_THROW(parse_unit_spec("_"), UsageError);
}

TEST(UnitLayer, Refusals) {
  const auto parse = [](const char* spec) { return refusal([&] { parse_unit_spec(spec); }); };
  EXPECT_EQ(parse("prelo"), "unknown unit 'prelo'; did you mean prelu?");
  EXPECT_EQ(parse("softmx"), "unknown unit 'softmx'; did you mean softmax or softmin?");
  EXPECT_EQ(parse("prelu(2)"), "unit 'prelu(2)' does not parse; expected prelu or prelu(shared).");
  EXPECT_EQ(parse("maxout(1)"),
            "unit 'maxout(1)' does not parse; expected maxout(K) with K from 2 to 64.");
  EXPECT_EQ(parse("rrelu(0.3,0.2)"),
            "unit 'rrelu(0.3,0.2)' does not parse; expected rrelu(LOWER,UPPER) with 0 <= LOWER <= "
            "UPPER <= 1e6.");
  EXPECT_EQ(parse("gelu(2)"), "unit 'gelu(2)' does not parse; expected gelu or gelu(stochastic).");
  EXPECT_EQ(parse("gelu(a)*b"), "");
  EXPECT_EQ(parse("softmax(1)"), "unit 'softmax(1)' does not parse; expected no arguments.");
  for (const char* spec : {"", "maxout(", "maxout(2", "rrelu()", "rrelu(1)", "rrelu(nan,nan)",
                           "prelu(a)*b", "swish()", "elu(-1)"}) {
    EXPECT_NE(parse(spec), "") << spec;
  }
  EXPECT_EQ(refusal([] { UnitLayer("prelu", 0, DType::f32, {}); }),
            "Unit prelu: expected at least one channel, got 0");
  const UnitLayer glu("glu", 4, DType::f32, {});
  EXPECT_EQ(refusal([&] {
              glu.forward(Variable(Tensor(Shape{2, 7})), false, kKey);
            }),
            "Unit glu: expected [R, 8] for 4 channels, got [2, 7], whose odd last dimension cannot "
            "be halved");
  EXPECT_EQ(refusal([&] {
              glu.forward(Variable(Tensor(Shape{2, 6})), false, kKey);
            }),
            "Unit glu: expected [R, 8] for 4 channels, got [2, 6]");
}

}  // namespace
}  // namespace sluice
