// The norm layer: names, parameters, refusals, and what training does to running statistics.
#include "sluice/nn/norm.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "sluice/base/error.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Norm, NamesReadBackAndUnknownOnesListTheNearest) {
  for (const std::string& name : enum_names(NormKind{}).names())
    EXPECT_EQ(name_of(parse_enum<NormKind>(name)), name);
  EXPECT_TRUE(contains(error_of([] { parse_enum<NormKind>("layre"); }), "did you mean layer?"));
  EXPECT_TRUE(
      contains(error_of([] { parse_enum<NormKind>("spectral"); }), "known are none, batch"));
}

TEST(Norm, ParametersAreNamedAsPyTorchNamesThem) {
  const auto names = [](const Norm& norm) {
    Parameters parameters;
    norm.collect(parameters, "n.");
    std::string all;
    for (const Parameter& p : parameters) {
      EXPECT_FALSE(p.decay);
      EXPECT_TRUE(p.variable.shape() == Shape{6});
      EXPECT_EQ(p.variable.requires_grad(), !contains(p.name, "running"));
      all += p.name + " ";
    }
    return all;
  };
  NormOptions plain;
  plain.affine = false;
  EXPECT_EQ(names(Norm(NormKind::batch, 6)), "n.weight n.bias n.running_mean n.running_var ");
  EXPECT_EQ(names(Norm(NormKind::batch, 6, plain)), "n.running_mean n.running_var ");
  EXPECT_EQ(names(Norm(NormKind::layer, 6)), "n.weight n.bias ");
  EXPECT_EQ(names(Norm(NormKind::layer, 6, plain)), "");
  EXPECT_EQ(names(Norm(NormKind::rms, 6)), "n.weight ");
  EXPECT_EQ(names(Norm(NormKind::none, 6)), "");
}

TEST(Norm, CausalNormsRefuseWhatWouldSeeTheFuture) {
  for (const char* name : {"none", "layer", "rms", "group", "batch"}) {
    EXPECT_TRUE(make_causal_norm(name, 6, 2).options().causal);
  }
  EXPECT_TRUE(
      contains(error_of([] { make_causal_norm("instance", 6); }),
               "pools over time, so that a language model would see the future; use layer"));
  EXPECT_TRUE(contains(error_of([] { make_causal_norm("rsm", 6); }), "did you mean rms?"));
  EXPECT_TRUE(contains(error_of([] { make_causal_norm("group", 6, 4); }), "must divide"));
  EXPECT_THROW(make_causal_norm("instance", 6), UsageError);
}

// In evaluation, and for all but batch in training, a later position changes no earlier one.
TEST(Norm, CausalNormsDoNotSeeTheFuture) {
  for (const char* name : {"none", "layer", "rms", "group", "batch"}) {
    const Norm norm = make_causal_norm(name, 6, 2, DType::f64);
    for (const bool training : {false, true}) {
      if (training && norm.kind() == NormKind::batch) continue;
      const Tensor x = test::random_tensor({2, 5, 6}, 1);
      const Tensor before = norm.forward(Variable(x), training).value().clone();
      for (std::int64_t b = 0; b < 2; ++b) {
        for (std::int64_t i = 18; i < 30; ++i) x.data<double>()[b * 30 + i] *= -2;
      }
      const Tensor after = norm.forward(Variable(x), training).value();
      for (std::int64_t b = 0; b < 2; ++b) {
        for (std::int64_t i = 0; i < 18; ++i) {
          ASSERT_EQ(before.data<double>()[b * 30 + i], after.data<double>()[b * 30 + i]) << name;
        }
      }
    }
  }
}

TEST(Norm, WrongInputsAreRefused) {
  const Variable x(test::random_tensor({4, 5}, 1)), image(test::random_tensor({2, 6, 3, 3}, 1));
  EXPECT_TRUE(contains(error_of([&] { Norm(NormKind::layer, 6, {}, DType::f64).forward(x, true); }),
                       "expected x [R, 6], [B, T, 6] or [N, 6, H, W], got [4, 5]"));
  EXPECT_TRUE(
      contains(error_of([&] { make_causal_norm("layer", 6, 1, DType::f64).forward(image, true); }),
               "expected x [R, 6] or [B, T, 6], got [2, 6, 3, 3]"));
  EXPECT_THROW(Norm(NormKind::layer, 0), UsageError);
  EXPECT_THROW(Norm(NormKind::group, 6, {.groups = 0}), UsageError);
}

TEST(Norm, OnlyTrainingMovesRunningStatistics) {
  const Norm norm(NormKind::batch, 3, {.momentum = 0.25}, DType::f64);
  Parameters parameters;
  norm.collect(parameters, "");
  const Tensor mean = parameters[2].variable.value(), var = parameters[3].variable.value();
  const Tensor x = test::random_tensor({40, 3}, 1, 2.0);
  norm.forward(Variable(x), false);
  EXPECT_EQ(mean.data<double>()[0], 0);
  EXPECT_EQ(var.data<double>()[0], 1);
  norm.forward(Variable(x), true);
  double sum = 0, squares = 0;
  for (int r = 0; r < 40; ++r) sum += x.data<double>()[3 * r];
  for (int r = 0; r < 40; ++r) squares += std::pow(x.data<double>()[3 * r] - sum / 40, 2);
  EXPECT_NEAR(mean.data<double>()[0], 0.25 * sum / 40, 1e-14);
  EXPECT_NEAR(var.data<double>()[0], 0.75 + 0.25 * squares / 39, 1e-13);
}

}  // namespace
}  // namespace sluice
