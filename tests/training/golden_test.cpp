// A whole training of every architecture against PyTorch's, which drops the same elements
// (tests/golden/README.md): a run is compared with numbers of another program, not with a run of
// ours that shares its mistakes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "sluice/base/detail/json.hpp"
#include "sluice/tensor/gemm.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

/// training.safetensors.
struct Fixture {
  Fixture() {
    const auto path =
        std::filesystem::path(SLUICE_SOURCE_DIR) / "tests" / "golden" / "training.safetensors";
    for (auto& [name, tensor] : read_safetensors(path, &metadata)) tensors[name] = tensor;
  }

  TokenShards tokens(const std::string& name) const {
    const Tensor& ids = tensors.at(name);
    return {{ids.data<TokenId>(), ids.data<TokenId>() + ids.elements()}, 0, 30};
  }
  std::vector<double> numbers(const std::string& name) const {
    const Tensor& values = tensors.at(name);
    return {values.data<double>(), values.data<double>() + values.elements()};
  }
  Value section(const std::string& name) const { return parse_json(metadata.at(name), place); }
  std::unique_ptr<LanguageModel> model(const std::string& arch) const {
    auto made = make_model(read_model(section(arch + ".model"), place), 1);
    for (const Parameter& parameter : made->parameters()) {
      const Tensor& value = tensors.at(arch + "." + parameter.name);
      parameter.variable.value().copy_from(parameter.from_file ? parameter.from_file(value)
                                                               : value);
    }
    return made;
  }
  TrainConfig training(const std::string& arch) const {
    TrainConfig config;
    read_fields(field_parts(config), section(arch + ".training"), place);
    return config;
  }

  FieldPlace place{.where = "training.safetensors", .origin = FieldPlace::Origin::file};
  Metadata metadata;
  std::map<std::string, Tensor> tensors;
};

/// What a run tells of itself, step by step and validation by validation.
struct Curve {
  std::vector<double> losses, norms, rates, validations;
};

Curve run_of(const Fixture& fixture, const std::string& arch, Precision precision) {
  const Directory directory;
  const auto model = fixture.model(arch);
  const TokenShards valid = fixture.tokens("valid");
  TrainConfig config = fixture.training(arch);
  config.precision = precision;
  Curve curve;
  TrainOptions options;
  options.callbacks.stepped = [&](const TrainProgress& progress) {
    curve.losses.push_back(progress.loss);
    curve.norms.push_back(progress.gradient_norm);
    curve.rates.push_back(progress.learning_rate);
  };
  options.callbacks.validated = [&](const ValidationReport& report) {
    curve.validations.push_back(report.loss);
  };
  train(*model, fixture.tokens("tokens"), &valid, config, directory.path(), options);
  return curve;
}

/// The largest relative difference.
double difference(const std::vector<double>& ours, const std::vector<double>& theirs) {
  EXPECT_EQ(ours.size(), theirs.size());
  double most = 0;
  for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
    most = std::max(most, std::abs(ours[i] / theirs[i] - 1));
  }
  return most;
}

class GoldenTraining : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(All, GoldenTraining,
                         testing::Values("gcnn", "rnn", "lstm", "gru", "indrnn", "mut1",
                                         "transformer"),
                         [](const auto& arch) { return std::string(arch.param); });

// PyTorch computes in float64; measured, over 24 steps, losses differ by 1e-7 and gradient norms by
// 3e-6 at most.
TEST_P(GoldenTraining, FollowsPyTorch) {
  const Fixture fixture;
  const std::string arch = GetParam();
  const Curve curve = run_of(fixture, arch, Precision::f32);
  EXPECT_LT(difference(curve.losses, fixture.numbers(arch + ".losses")), 2e-6);
  EXPECT_LT(difference(curve.norms, fixture.numbers(arch + ".norms")), 5e-5);
  EXPECT_LT(difference(curve.rates, fixture.numbers(arch + ".rates")), 1e-12);
  EXPECT_LT(difference(curve.validations, fixture.numbers(arch + ".validations")), 2e-6);
}

// Products of bfloat16 operands stay near float32's, and differ from them: measured, losses by 3e-4
// to 1e-3, gradient norms by up to 0.025, validation losses by up to 5e-4.
TEST_P(GoldenTraining, Bfloat16StaysNearAndIsNotFloat32) {
  if (!has_bfloat16_gemm()) GTEST_SKIP() << "this CPU has no bfloat16 products";
  const Fixture fixture;
  const std::string arch = GetParam();
  const Curve curve = run_of(fixture, arch, Precision::bf16);
  const double losses = difference(curve.losses, fixture.numbers(arch + ".losses"));
  EXPECT_LT(losses, 0.01);
  EXPECT_GT(losses, 1e-4);
  EXPECT_LT(difference(curve.norms, fixture.numbers(arch + ".norms")), 0.1);
  EXPECT_LT(difference(curve.validations, fixture.numbers(arch + ".validations")), 0.01);
}

}  // namespace
}  // namespace sluice::training_test
