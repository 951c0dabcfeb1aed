#include "sluice/nn/init.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "sluice/nn/gated_conv.hpp"
#include "sluice/nn/token_layers.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

double mean_square(const Tensor& x) {
  double sum = 0;
  for (const double v : x.span<double>()) sum += v * v;
  return sum / static_cast<double>(x.elements());
}

TEST(Init, NormalHasItsDeviationAndNoMean) {
  const Tensor x = normal(Shape{400, 100}, DType::f64, 0.3, {7, 1});
  double sum = 0;
  for (const double v : x.span<double>()) sum += v;
  EXPECT_NEAR(sum / 40000, 0, 4 * 0.3 / 200);
  EXPECT_NEAR(std::sqrt(mean_square(x)), 0.3, 0.01);
}

TEST(Init, StreamsAndSeedsDifferAndRepeat) {
  const Tensor x = normal(Shape{16}, DType::f64, 1, {7, 1});
  EXPECT_EQ(x.data<double>()[3], normal(Shape{16}, DType::f64, 1, {7, 1}).data<double>()[3]);
  EXPECT_NE(x.data<double>()[3], normal(Shape{16}, DType::f64, 1, {7, 2}).data<double>()[3]);
  EXPECT_NE(x.data<double>()[3], normal(Shape{16}, DType::f64, 1, {8, 1}).data<double>()[3]);
}

TEST(Init, WithoutASeedGivesZeros) {
  EXPECT_EQ(mean_square(normal(Shape{16}, DType::f64, 1, {std::nullopt, 1})), 0);
}

TEST(Init, GainsAreTheDocumentedOnes) {
  const struct {
    const char* unit;
    double gain;
  } table[] = {{"identity", 1},
               {"sigmoid", 1},
               {"tanh", 5.0 / 3.0},
               {"relu", std::sqrt(2.0)},
               {"gelu", std::sqrt(2.0)},
               {"glu", 2},
               {"gtu", 2},
               {"bilinear", 1},
               {"reglu", std::sqrt(std::sqrt(2.0))}};
  for (const auto& row : table) EXPECT_DOUBLE_EQ(unit_gain(parse_unit(row.unit)), row.gain);
  EXPECT_DOUBLE_EQ(unit_gain(parse_unit("leaky_relu(0.5)")), std::sqrt(2 / 1.25));
}

// The point of the gains: a layer hands on inputs of variance 1 at about variance 1. The units
// whose gain is exact for normal inputs are held to 15%, the saturating and gated ones to a factor
// of 2.
TEST(Init, KaimingKeepsTheVarianceOfALayer) {
  const struct {
    const char* unit;
    double factor;
  } table[] = {{"identity", 1.15}, {"relu", 1.15}, {"bilinear", 1.3}, {"reglu", 1.3},
               {"glu", 2},         {"swiglu", 2},  {"geglu", 2},      {"tanh", 2}};
  for (const auto& row : table) {
    const GatedConv1d layer({.channels = 64, .outputs = 64, .kernel = 3, .unit = row.unit},
                            DType::f64, {11, 5});
    const Variable x(test::random_tensor({4, 64, 64}, 3));
    const Tensor y = layer.forward(x, {}, {}, {}, nullptr).value();
    EXPECT_GT(mean_square(y), 1 / row.factor) << row.unit;
    EXPECT_LT(mean_square(y), row.factor) << row.unit;
  }
}

TEST(GatedConv1d, FilesHavePyTorchsShapesAndRoundTrip) {
  const GatedConv1d layer({.channels = 5, .outputs = 3, .kernel = 4, .unit = "glu"}, DType::f64,
                          {1, 2});
  Parameters parameters;
  layer.collect(parameters, "layers.0.");
  ASSERT_EQ(parameters.size(), 3U);
  EXPECT_EQ(parameters[0].name, "layers.0.weight_v");
  const Tensor inside = parameters[0].variable.value();
  const Tensor file = parameters[0].to_file(inside);
  EXPECT_TRUE(file.shape() == (Shape{6, 5, 4}));
  // Tap k, channel c, output m: [k, c, m] inside, [m, c, k] in files.
  EXPECT_EQ(file.data<double>()[(2 * 5 + 4) * 4 + 1], inside.data<double>()[(1 * 5 + 4) * 6 + 2]);
  const Tensor back = parameters[0].from_file(file);
  for (std::int64_t i = 0; i < inside.elements(); ++i) {
    ASSERT_EQ(back.data<double>()[i], inside.data<double>()[i]);
  }
  EXPECT_TRUE(parameters[1].to_file(parameters[1].variable.value()).shape() == (Shape{6, 1, 1}));
}

TEST(TokenLayers, TiedLayersShareTheirWeights) {
  for (const bool adaptive : {false, true}) {
    TokenLayersOptions options;
    options.vocabulary = 40;
    options.dim = options.hidden = 16;
    if (adaptive) options.cutoffs = {10, 20};
    Parameters untied, tied;
    make_token_layers(options, DType::f64, {1, 0})->collect(untied);
    options.tie = true;
    make_token_layers(options, DType::f64, {1, 0})->collect(tied);
    EXPECT_LT(parameter_count(tied), parameter_count(untied));
    EXPECT_EQ(tied.front().name, adaptive ? "embedding.bands.0.weight" : "embedding.weight");
  }
}

}  // namespace
}  // namespace sluice
