#include <algorithm>

#include "kernels/support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/kernels/unit_info.hpp"

namespace sluice {
namespace {

TEST(UnitNames, NamedGates) {
  struct Case {
    const char* name;
    Activation f, g;
  };
  const Case cases[] = {
      {"glu", Activation::identity, Activation::sigmoid},
      {"gtu", Activation::tanh, Activation::sigmoid},
      {"bilinear", Activation::identity, Activation::identity},
      {"reglu", Activation::relu, Activation::identity},
      {"reglu_sigmoid", Activation::relu, Activation::sigmoid},
      {"geglu", Activation::gelu, Activation::identity},
      {"geglu_tanh", Activation::gelu_tanh, Activation::identity},
      {"swiglu", Activation::silu, Activation::identity},
      {"seglu", Activation::selu, Activation::identity},
      {"leglu", Activation::leaky_relu, Activation::identity},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(parse_unit(each.name), (Unit{each.f, each.g, true})) << each.name;
    EXPECT_EQ(unit_names()[static_cast<std::size_t>(&each - cases)], each.name);
  }
  EXPECT_GE(unit_names().size(), std::size(cases) + 25);
}

TEST(UnitNames, EveryUnitReadsBack) {
  const auto units = kernels::all_units();
  EXPECT_GE(units.size(), 35U + 50U + 12U);
  for (const Unit& unit : units) EXPECT_EQ(parse_unit(unit_name(unit)), unit) << unit_name(unit);
}

TEST(UnitNames, GenericForms) {
  EXPECT_EQ(parse_unit("silu(a)*b"), parse_unit("swiglu"));
  EXPECT_EQ(unit_name(parse_unit("a*sigmoid(b)")), "glu");
  EXPECT_EQ(parse_unit("a*b"), parse_unit("bilinear"));
  EXPECT_EQ(parse_unit("tanh(a)*sigmoid(b)"), parse_unit("gtu"));
  EXPECT_EQ(unit_name(parse_unit("a*tanh(b)")), "a*tanh(b)");
  EXPECT_EQ(unit_name(parse_unit("sigmoid(a)*b")), "sigmoid(a)*b");
  EXPECT_EQ(unit_name(parse_unit("relu")), "relu");
}

TEST(UnitNames, Inputs) {
  EXPECT_EQ(parse_unit("glu").inputs(5), 10);
  EXPECT_EQ(parse_unit("tanh").inputs(5), 5);
}

std::string refusal(std::string_view name) {
  try {
    parse_unit(name);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(UnitNames, Refusals) {
  EXPECT_EQ(refusal("gulu"), "unknown unit 'gulu'; did you mean glu or gelu?");
  EXPECT_NE(refusal("convolution").find("known are glu, gtu, bilinear"), std::string::npos);
  EXPECT_EQ(refusal("sigmod(a)*b"), "unknown activation 'sigmod'; did you mean sigmoid?");
  for (const char* name : {"", "*", "a*", "silu(b)*a", "silu(a)*c", "(a)*b", "silua*b", "a*b*c"}) {
    EXPECT_NE(refusal(name), "") << name;
  }
  EXPECT_NE(refusal("gelu(a)*tanh(b)").find("gelu(a)*tanh(b) has no kernel"), std::string::npos);
}

TEST(UnitNames, Parameters) {
  EXPECT_EQ(parse_unit("leaky_relu"), parse_unit("leaky_relu(0.01)"));
  EXPECT_EQ(parse_unit("leaky_relu(0.2)").f_parameters, (ActivationParameters{0.2F, 0}));
  EXPECT_EQ(parse_unit("hardtanh( -2, 2 )").f_parameters, (ActivationParameters{-2, 2}));
  EXPECT_EQ(parse_unit("softplus(2)").f_parameters, (ActivationParameters{2, 20}));
  EXPECT_EQ(unit_name(parse_unit("softplus(2)")), "softplus(2)");
  EXPECT_EQ(unit_name(parse_unit("softplus(1,5)")), "softplus(1,5)");
  EXPECT_EQ(unit_name(parse_unit("hardtanh(-1,1)")), "hardtanh");
  EXPECT_EQ(unit_name(parse_unit("leaky_relu(a)*b")), "leglu");
  EXPECT_EQ(unit_name(parse_unit("leaky_relu(0.2)(a)*b")), "leaky_relu(0.2)(a)*b");
  EXPECT_EQ(unit_name(parse_unit("a * silu(1.5)(b)")), "a*silu(1.5)(b)");
  EXPECT_EQ((Unit{Activation::elu, Activation::identity, false}), parse_unit("elu"));
}

TEST(UnitNames, ParametersThatAreRefused) {
  EXPECT_EQ(refusal("relu(1)"), "activation 'relu(1)' does not parse; relu takes no parameters.");
  EXPECT_EQ(refusal("elu(1,2)"),
            "activation 'elu(1,2)' does not parse; elu takes at most 1 parameter.");
  EXPECT_EQ(refusal("elu(x)"), "activation 'elu(x)' does not parse; 'x' is not a number.");
  EXPECT_EQ(refusal("elu(1"), "activation 'elu(1' does not parse; expected ')' at its end.");
  EXPECT_EQ(refusal("elu(-1)"), "Activation: elu got α = -1, expected 1e-06 to 1e+06.");
  EXPECT_EQ(refusal("hardtanh(2,1)"),
            "Activation: hardtanh got min = 2 and max = 1, expected min to be less than max.");
  for (const char* name : {"elu()", "elu(nan)", "elu(inf)", "elu(1e9)", "elu(1,)", "elu(1)2",
                           "softplus(1,-1)", "silu(0)", "leaky_relu(-1)(a)*b", "glu(1)"}) {
    EXPECT_NE(refusal(name), "") << name;
  }
  Unit unit = parse_unit("a*elu(b)");
  EXPECT_NO_THROW(check_unit(unit));
  unit.g_parameters[0] = -1;
  EXPECT_THROW(check_unit(unit), UsageError);
}

TEST(UnitNames, Activations) {
  for (const std::string& name : unit_names()) {
    const Unit unit = parse_unit(name);
    if (unit.gated) continue;
    EXPECT_EQ(activation_name(parse_activation(name)), name);
  }
  EXPECT_THROW(parse_activation("sigmoyd"), UsageError);
}

TEST(UnitInfos, DescribeEveryUnit) {
  for (const std::string& name : unit_names()) {
    const UnitInfo& info = unit_info(name);
    EXPECT_EQ(info.name, name);
    EXPECT_EQ(info.kind == UnitKind::gate, parse_unit(name).gated);
  }
  for (const UnitInfo& info : unit_infos()) {
    for (const std::string* text :
         {&info.formula, &info.derivative, &info.range, &info.saturation, &info.accuracy}) {
      EXPECT_NE(*text, "") << info.name;
    }
    for (const UnitParameter& parameter : info.parameters) {
      EXPECT_LE(parameter.least, parameter.standard) << info.name;
      EXPECT_LE(parameter.standard, parameter.most) << info.name;
    }
  }
  EXPECT_EQ(unit_info("prelu").kind, UnitKind::layer);
  EXPECT_EQ(unit_info("glu").derivative, "a: sigmoid(b); b: a sigmoid'(b)");
  EXPECT_EQ(unit_info("silu").accuracy,
            "Value 4 ULP, 0 allowed below 2^-118; derivative absolute 5e-07.");
  EXPECT_THROW(unit_info("glue"), UsageError);
}

}  // namespace
}  // namespace sluice
