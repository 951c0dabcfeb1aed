#include "sluice/lab/units/unit_description.hpp"

#include <gtest/gtest.h>

#include "sluice/base/error.hpp"
#include "sluice/lab/units/unit_cost.hpp"
#include "sluice/lab/units/unit_curves.hpp"
#include "sluice/nn/unit_layer.hpp"

namespace sluice {
namespace {

TEST(UnitDescription, ThoseByThemselvesAreAsKnown) {
  for (const UnitInfo& info : unit_infos()) {
    EXPECT_EQ(describe_unit(info.name).formula, info.formula) << info.name;
    EXPECT_EQ(describe_unit(info.name).name, info.name);
  }
  EXPECT_EQ(describe_unit("hard_sigmoid").name, "hardsigmoid");
}

TEST(UnitDescription, NumbersAreTheirOwn) {
  const UnitInfo relu6 = describe_unit("relu6(5)");
  EXPECT_EQ(relu6.name, "relu6(5)");
  EXPECT_EQ(relu6.kind, UnitKind::activation);
  ASSERT_EQ(relu6.parameters.size(), 1U);
  EXPECT_EQ(relu6.parameters[0].standard, 5);
  EXPECT_EQ(relu6.formula, unit_info("relu6").formula);
  EXPECT_TRUE(relu6.accuracy.starts_with("At the default parameters: "));
  EXPECT_EQ(describe_unit("relu6(6)").name, "relu6");
  EXPECT_EQ(describe_unit("hardtanh(-2,2)").parameters[1].standard, 2);

  const UnitInfo rrelu = describe_unit("rrelu(0.1,0.3)");
  EXPECT_EQ(rrelu.kind, UnitKind::layer);
  EXPECT_EQ(rrelu.parameters[0].standard, 0.1F);
  EXPECT_EQ(rrelu.parameters[1].standard, 0.3F);
  EXPECT_EQ(describe_unit("maxout(3)").parameters[0].standard, 3);
  const UnitInfo gelu = describe_unit("gelu(stochastic)");
  EXPECT_EQ(gelu.kind, UnitKind::layer);
  EXPECT_NE(gelu.formula, unit_info("gelu").formula);
}

TEST(UnitDescription, GatesFollowFromTheirActivation) {
  const UnitInfo first = describe_unit("leaky_relu(0.2)(a)*b");
  EXPECT_EQ(first.name, "leaky_relu(0.2)(a)*b");
  EXPECT_EQ(first.kind, UnitKind::gate);
  EXPECT_EQ(first.formula, "leaky_relu(0.2)(a) b");
  EXPECT_EQ(first.derivative, "a: b leaky_relu(0.2)'(a); b: leaky_relu(0.2)(a)");
  EXPECT_EQ(first.parameters[0].standard, 0.2F);
  EXPECT_EQ(describe_unit("a*softsign(b)").derivative, "a: softsign(b); b: a softsign'(b)");
  // One that has a name is called by it.
  EXPECT_EQ(describe_unit("silu(a)*b").name, "swiglu");
}

// Whatever can be described can be drawn and timed.
TEST(UnitDescription, IsDrawnAndTimed) {
  for (const char* name : {"relu6(5)", "rrelu(0.1,0.3)", "maxout(3)", "gelu(stochastic)",
                           "prelu(shared)", "mish(a)*b", "hardsigmoid(0.2)"}) {
    const UnitInfo info = describe_unit(name);
    EXPECT_EQ(unit_picture(info).title, name);
    EXPECT_GT(measure_unit_cost(info).forward_ns, 0) << name;
  }
  // At its own bound.
  const UnitCurve value = unit_picture(describe_unit("relu6(5)")).panels[0].curves[0];
  EXPECT_NEAR(value.strokes.back().back().y, 5, 1e-6);
}

TEST(UnitDescription, RefusesInOneSentence) {
  for (const char* name : {"gul", "relu6(0)", "relu6(5", "relu6(1,2)", "rrelu(2,1)", "(", "*",
                           "relu(3)", "tanh(a)*tanh(b)", "nothing(5)"}) {
    EXPECT_THROW(describe_unit(name), UsageError) << name;
  }
}

}  // namespace
}  // namespace sluice
