#include <algorithm>

#include "kernels/support.hpp"
#include "sluice/base/error.hpp"

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
  };
  for (const Case& each : cases) {
    EXPECT_EQ(parse_unit(each.name), (Unit{each.f, each.g, true})) << each.name;
    EXPECT_EQ(unit_names()[static_cast<std::size_t>(&each - cases)], each.name);
  }
  EXPECT_EQ(unit_names().size(), std::size(cases) + 7);
}

TEST(UnitNames, EveryUnitReadsBack) {
  const auto units = kernels::all_units();
  EXPECT_EQ(units.size(), 15U + 14U);
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
  EXPECT_EQ(refusal("gulu"), "Unit: 'gulu' is unknown; did you mean glu or gelu?");
  EXPECT_NE(refusal("convolution").find("known are glu, gtu, bilinear"), std::string::npos);
  EXPECT_EQ(refusal("sigmod(a)*b"), "Activation: 'sigmod' is unknown; did you mean sigmoid?");
  for (const char* name : {"", "*", "a*", "silu(b)*a", "silu(a)*c", "(a)*b", "silua*b", "a*b*c"}) {
    EXPECT_NE(refusal(name), "") << name;
  }
  EXPECT_NE(refusal("gelu(a)*tanh(b)").find("gelu(a)*tanh(b) has no kernel"), std::string::npos);
}

TEST(UnitNames, Activations) {
  for (const Activation f :
       {Activation::identity, Activation::sigmoid, Activation::tanh, Activation::relu,
        Activation::gelu, Activation::gelu_tanh, Activation::silu}) {
    EXPECT_EQ(parse_activation(activation_name(f)), f);
  }
  EXPECT_THROW(parse_activation("sigmoyd"), UsageError);
}

}  // namespace
}  // namespace sluice
