// Norms and softmax against PyTorch: tests/golden/norms.safetensors and softmax.safetensors
// (generate_norms.py), computed in float64.
// Values, gradients and running statistics, in float64 to 1e-12 and in float32 to 1e-6 (2e-6 for
// gradients, which sum products of both signs, unless said), relative to 1 + |expected|.
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/autograd/softmax.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/nn/norm.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

using Fixture = std::map<std::string, Tensor>;

void expect_near(const Tensor& got, const Tensor& want, double tolerance, const std::string& what) {
  ASSERT_TRUE(got.defined()) << what;
  ASSERT_TRUE(got.shape() == want.shape()) << what;
  const Tensor wide = got.to(DType::f64);
  for (std::int64_t i = 0; i < want.elements(); ++i) {
    const double w = want.data<double>()[i];
    ASSERT_NEAR(wide.data<double>()[i], w, tolerance * (1 + std::abs(w))) << what << " " << i;
  }
}

void check_mode(const Norm& norm, const Fixture& fixture, const std::string& name,
                const std::string& mode, DType dtype) {
  const auto at = [&](const std::string& key) { return fixture.at(name + "." + key); };
  const double tolerance = dtype == DType::f64 ? 1e-12 : 1e-6;
  Parameters parameters;
  norm.collect(parameters, "");
  const Variable x(at("x").to(dtype), true);
  for (const Parameter& parameter : parameters) parameter.variable.zero_grad();
  const Tape tape;
  const Variable y = norm.forward(x, mode == "train");
  expect_near(y.value(), at(mode + ".y"), tolerance, name + " " + mode + " y");
  // Σ y ⊙ dy, so that y's gradient is dy.
  const std::int64_t n = y.value().elements();
  const Variable dy(at("dy").to(dtype).reshape(Shape{1, n}));
  Tape::current()->backward(reshape(linear(reshape(y, Shape{1, n}), dy, {}), Shape{1}));
  // Groups of two values: what is left of dx are differences of nearly equal numbers.
  const double factor = name.starts_with("group.rows") && dtype == DType::f32 ? 10 : 2;
  expect_near(x.grad(), at(mode + ".dx"), factor * tolerance, name + " " + mode + " dx");
  for (const Parameter& p : parameters) {
    if (p.variable.requires_grad()) {
      expect_near(p.variable.grad(), at(mode + ".d" + p.name), 2 * tolerance,
                  name + " " + mode + " d" + p.name);
    } else {
      expect_near(p.variable.value(), at(mode + "." + p.name), tolerance,
                  name + " " + mode + " " + p.name);
    }
  }
}

TEST(NormGolden, EveryNormIsPyTorchs) {
  Metadata metadata;
  Fixture fixture;
  for (auto& [name, tensor] :
       read_safetensors(SLUICE_SOURCE_DIR "/tests/golden/norms.safetensors", &metadata)) {
    fixture.emplace(name, tensor);
  }
  int cases = 0;
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const auto& [key, x] : fixture) {
      if (!key.ends_with(".train.y")) continue;
      ++cases;
      const std::string name = key.substr(0, key.size() - 8);
      const std::string kind = name.substr(0, name.find('.'));
      NormOptions options;
      options.groups = std::stoi(metadata.at("groups"));
      options.affine = name.ends_with(".affine");
      const Norm norm(parse_enum<NormKind>(kind), 6, options, dtype);
      Parameters parameters;
      norm.collect(parameters, "");
      for (const Parameter& p : parameters) {
        if (p.variable.requires_grad()) {
          p.variable.set_value(fixture.at(name + "." + p.name).to(dtype));
        }
      }
      if (kind == "batch") {
        const NoGrad guard;
        const Tensor before = fixture.at(name + ".dy").clone();
        for (double& value : before.span<double>()) value = 3 * value + 1;
        norm.forward(Variable(before.to(dtype)), true);
      }
      check_mode(norm, fixture, name, "train", dtype);
      if (kind == "batch") check_mode(norm, fixture, name, "eval", dtype);
    }
  }
  EXPECT_EQ(cases, 2 * 28);
}

TEST(NormGolden, SoftmaxFamilyIsPyTorchs) {
  Fixture fixture;
  for (auto& [name, tensor] :
       read_safetensors(SLUICE_SOURCE_DIR "/tests/golden/softmax.safetensors")) {
    fixture.emplace(name, tensor);
  }
  using Function = Variable (*)(const Variable&);
  const std::pair<const char*, Function> functions[] = {
      {"softmax", softmax}, {"log_softmax", log_softmax}, {"softmin", softmin}};
  for (const DType dtype : {DType::f64, DType::f32}) {
    const double tolerance = dtype == DType::f64 ? 1e-12 : 1e-6;
    for (const auto& [name, function] : functions) {
      const Variable x(fixture.at("x").to(dtype), true);
      const Tensor dy = fixture.at("dy").to(dtype);
      Tape tape;
      const Variable y = function(x);
      // Infinities and NaN would reach every row through a scalar loss: hand dy in directly.
      y.gradient()->accumulate(dy);
      tape.backward(sum(Variable(Tensor::zeros(Shape{1}, dtype), true)));
      for (const auto& [what, got] : {std::pair{".y", y.value()}, std::pair{".dx", x.grad()}}) {
        const Tensor want = fixture.at(name + std::string(what)), wide = got.to(DType::f64);
        for (std::int64_t i = 0; i < want.elements(); ++i) {
          const double w = want.data<double>()[i], g = wide.data<double>()[i];
          if (std::isfinite(w)) {
            ASSERT_NEAR(g, w, tolerance * (1 + std::abs(w))) << name << what << i;
          } else {
            ASSERT_TRUE(std::isnan(w) ? std::isnan(g) : g == w) << name << what << i << " " << g;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice
