// Slopes, offsets and bounds of the pieces that units are made of.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/kernels/units.hpp"

namespace sluice::kernels {
namespace {

struct Piecewise {
  std::string name;
  double slope, offset, most;  // min(max(slope x + offset, 0), most)
};

TEST(UnitParameters, SlopesOffsetsAndBounds) {
  const std::vector<Piecewise> units = {{"hardsigmoid", 1.0 / 6, 0.5, 1},
                                        {"hard_sigmoid(0.2)", 0.2, 0.5, 1},  // Keras 2, Theano
                                        {"hardsigmoid(0.25,0.4)", 0.25, 0.4, 1},
                                        {"relu6", 1, 0, 6},
                                        {"relu6(1.5)", 1, 0, 1.5}};
  for (const Piecewise& want : units) {
    SCOPED_TRACE(want.name);
    const Unit unit = parse_unit(want.name);
    std::vector<float> x, ones(400, 1), y(400), dx(400);
    for (int i = -200; i < 200; ++i) x.push_back(0.05F * static_cast<float>(i) + 0.01F);
    const std::vector<double> wide(x.begin(), x.end()), wide_ones(400, 1);
    std::vector<double> wide_y(400), wide_dx(400);
    activation_forward(y.data(), x.data(), x.size(), unit.f, unit.f_parameters);
    activation_backward(dx.data(), ones.data(), x.data(), x.size(), unit.f, unit.f_parameters);
    activation_forward(wide_y.data(), wide.data(), x.size(), unit.f, unit.f_parameters);
    activation_backward(wide_dx.data(), wide_ones.data(), wide.data(), x.size(), unit.f,
                        unit.f_parameters);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double ramp = want.slope * wide[i] + want.offset;
      const bool inside = ramp > 1e-6 && ramp < want.most - 1e-6;
      EXPECT_NEAR(static_cast<double>(y[i]), std::clamp(ramp, 0.0, want.most), 1e-6) << x[i];
      EXPECT_NEAR(wide_y[i], std::clamp(ramp, 0.0, want.most), 1e-7) << x[i];
      EXPECT_NEAR(static_cast<double>(dx[i]), inside ? want.slope : 0, 1e-7) << x[i];
      EXPECT_NEAR(wide_dx[i], inside ? want.slope : 0, 1e-7) << x[i];
    }
  }
}

// What it was before it had parameters, to the bit.
TEST(UnitParameters, TheStandardHardSigmoidIsThatOfPyTorch) {
  for (int i = -500; i < 500; ++i) {
    const float x = 0.0137F * static_cast<float>(i);
    float y = 0;
    activation_forward(&y, &x, 1, Activation::hardsigmoid);
    EXPECT_EQ(y, std::min(std::max(x + 3.0F, 0.0F), 6.0F) * (1.0F / 6.0F)) << x;
  }
}

TEST(UnitParameters, AreRefusedOutOfRange) {
  EXPECT_THROW(parse_unit("relu6(0)"), UsageError);
  EXPECT_THROW(parse_unit("hardsigmoid(-1)"), UsageError);
  EXPECT_THROW(parse_unit("hardsigmoid(0.2,0.5,1)"), UsageError);
  EXPECT_EQ(unit_name(parse_unit("hard_sigmoid(0.2)")), "hardsigmoid(0.2)");
}

}  // namespace
}  // namespace sluice::kernels
