// Conditional gates against PyTorch (tests/golden/conditions.safetensors, generate_conditions.py),
// in float64 to 1e-12 relative to 1 + |expected|, and what is refused.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/nn/gated_conv.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

void expect_near(const Tensor& got, const Tensor& want, const std::string& what) {
  ASSERT_TRUE(got.defined()) << what;
  ASSERT_TRUE(got.shape() == want.shape()) << what << got.shape().str() << want.shape().str();
  for (std::int64_t i = 0; i < want.elements(); ++i) {
    const double w = want.data<double>()[i];
    ASSERT_NEAR(got.data<double>()[i], w, 1e-12 * (1 + std::abs(w))) << what << " " << i;
  }
}

TEST(ConditionGolden, GatesAndTheirGradientsArePyTorchs) {
  std::map<std::string, Tensor> fixture;
  for (auto& [name, tensor] :
       read_safetensors(SLUICE_SOURCE_DIR "/tests/golden/conditions.safetensors")) {
    fixture.emplace(name, tensor);
  }
  for (const std::string unit : {"gtu", "glu", "reglu"}) {
    SCOPED_TRACE(unit);
    const auto at = [&](const std::string& name) { return fixture.at(unit + "." + name); };
    const GatedConv1d layer({.channels = 5, .outputs = 4, .kernel = 3, .unit = unit, .labels = 3},
                            DType::f64, {1, 0});
    Parameters parameters;
    layer.collect(parameters, "");
    for (const Parameter& parameter : parameters) {
      parameter.variable.set_value(parameter.in_memory(at(parameter.name)).clone());
      parameter.variable.zero_grad();
    }
    ASSERT_EQ(parameters.size(), 4U);
    const Tensor labels = at("labels");
    const Variable x(at("x"), true);
    const Tape tape;
    const Variable y =
        layer.forward(x, {}, {},
                      {.labels = {.each = {labels.data<std::int32_t>(),
                                           static_cast<std::size_t>(labels.elements())}}},
                      nullptr);
    expect_near(y.value(), at("y"), "y");
    const std::int64_t n = y.value().elements();
    const Variable dy(at("dy").reshape(Shape{1, n}));
    Tape::current()->backward(reshape(linear(reshape(y, Shape{1, n}), dy, {}), Shape{1}));
    expect_near(x.grad(), at("dx"), "dx");
    for (const Parameter& p : parameters) {
      expect_near(p.in_file(p.variable.grad()), at("d" + p.name), "d" + p.name);
    }
  }
}

TEST(Condition, RefusesOtherNumbersOfRowsAndUnknownLabels) {
  const Condition condition(2, 3, DType::f64);
  const Variable x(Tensor::zeros(Shape{2, 3}, DType::f64));
  const std::vector<std::int32_t> three = {0, 1, 2}, beyond = {0, 3};
  EXPECT_THROW(condition.forward(x, {.each = three}), Error);
  EXPECT_THROW(condition.forward(x, {.each = beyond}), Error);
  EXPECT_THROW(condition.forward(x, {.all = -1}), Error);
  EXPECT_EQ(Condition().forward(x, {.each = three}).value().raw(), x.value().raw());
  EXPECT_EQ(FrozenCondition().apply(x.value(), {}).raw(), x.value().raw());
}

}  // namespace
}  // namespace sluice
