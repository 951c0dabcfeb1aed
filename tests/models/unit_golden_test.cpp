// Every unit against PyTorch (tests/golden/units.safetensors, computed in float64): values and
// gradients in float64 to 1e-12 and in float32 to 1e-6, relative to 1 + |expected|.
#include <gtest/gtest.h>

#include <map>

#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/nn/unit_layer.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

using Fixture = std::map<std::string, Tensor>;

void expect_near(const Tensor& got, const Tensor& want, double tolerance, const std::string& what) {
  ASSERT_TRUE(got.defined()) << what;
  ASSERT_EQ(got.shape(), want.shape()) << what;
  const Tensor wide = got.to(DType::f64);
  for (std::int64_t i = 0; i < want.elements(); ++i) {
    const double w = want.data<double>()[i];
    ASSERT_NEAR(wide.data<double>()[i], w, tolerance * (1 + std::abs(w))) << what << " " << i;
  }
}

TEST(UnitGolden, EveryUnitIsPyTorchs) {
  Fixture fixture;
  for (auto& [name, tensor] :
       read_safetensors(SLUICE_SOURCE_DIR "/tests/golden/units.safetensors")) {
    fixture.emplace(name, tensor);
  }
  int cases = 0;
  for (const DType dtype : {DType::f64, DType::f32}) {
    const double tolerance = dtype == DType::f64 ? 1e-12 : 1e-6;
    for (const auto& [key, y] : fixture) {
      if (!key.ends_with(".y")) continue;
      ++cases;
      const std::string name = key.substr(0, key.size() - 2);
      const auto at = [&](const char* what) { return fixture.at(name + what); };
      const UnitLayer layer(name, y.dim(1), dtype, {1, 1});
      Parameters parameters;
      layer.collect(parameters, "");
      ASSERT_EQ(parameters.size(), fixture.contains(name + ".parameter") ? 1U : 0U) << name;
      for (const Parameter& p : parameters) p.variable.set_value(at(".parameter").to(dtype));

      const Variable z(at(".z").to(dtype), true);
      Tape tape;
      const Variable out = layer.forward(z, false, {});
      expect_near(out.value(), y, tolerance, name + " y");
      // Σ y ⊙ dy, so that y's gradient is dy.
      const Shape row{1, y.elements()};
      const Variable dy(at(".dy").to(dtype).reshape(row));
      tape.backward(reshape(linear(reshape(out, row), dy, {}), Shape{1}));
      expect_near(z.grad(), at(".dz"), tolerance, name + " dz");
      for (const Parameter& p : parameters) {
        expect_near(p.variable.grad(), at(".dparameter"), tolerance, name + " dparameter");
      }
    }
  }
  EXPECT_EQ(cases, 2 * 57);
}

}  // namespace
}  // namespace sluice
