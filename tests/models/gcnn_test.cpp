// The gated convolutional model against PyTorch.

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <sstream>

#include "sluice/models/gcnn.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/models/safetensors.hpp"

namespace sluice {
namespace {

using Fixture = std::map<std::string, Tensor>;

std::unique_ptr<LanguageModel> golden_model(const std::string& name, Fixture& fixture) {
  Metadata metadata;
  for (auto& [key, tensor] : read_safetensors(
           std::string(SLUICE_SOURCE_DIR "/tests/golden/") + name + ".safetensors", &metadata)) {
    fixture.emplace(key, tensor);
  }
  ModelConfig config;
  config.shape<GcnnShape>().layers = parse_layers(metadata.at("layers"));
  config.dim = std::stoll(metadata.at("dim"));
  config.vocabulary = std::stoll(metadata.at("vocabulary"));
  config.shape<GcnnShape>().unit = metadata.at("unit");
  config.softmax = metadata.at("softmax");
  config.tie = metadata.at("tie") == "1";
  std::istringstream cutoffs(metadata.at("cutoffs"));
  for (std::string part; std::getline(cutoffs, part, ',');) {
    config.cutoffs.push_back(std::stoll(part));
  }
  auto model = make_model(config, 1);
  for (const Parameter& parameter : model->parameters()) {
    const Tensor& value = fixture.at(parameter.name);
    parameter.variable.set_value(parameter.from_file ? parameter.from_file(value) : value.clone());
  }
  return model;
}

void expect_close(const Tensor& got, const Tensor& expected, double tolerance,
                  const std::string& what) {
  ASSERT_EQ(got.elements(), expected.elements()) << what;
  for (std::int64_t i = 0; i < got.elements(); ++i) {
    const double e = expected.data<float>()[i];
    ASSERT_NEAR(got.data<float>()[i], e, tolerance * std::max(1.0, std::abs(e)))
        << what << ", element " << i;
  }
}

class Golden : public testing::TestWithParam<std::tuple<std::string, ConvPath>> {};

// By either path of the convolutions: log-probabilities to 1e-4 (in fact 2e-5), the mean loss to
// 1e-5, every gradient to 1e-5.
TEST_P(Golden, LogProbabilitiesLossAndGradientsEqualPyTorchs) {
  Fixture fixture;
  const auto model = golden_model(std::get<0>(GetParam()), fixture);
  const ForwardOptions options{.conv = std::get<1>(GetParam())};
  ModelState state;
  for (const std::string chunk : {"", "2"}) {
    const Tensor& ids = fixture.at("tokens" + chunk);
    const std::int64_t batch = ids.dim(0), time = ids.dim(1);
    for (const Parameter& parameter : model->parameters()) parameter.variable.zero_grad();
    Tape tape;
    const Variable h = model->hidden(ids.span<std::int32_t>(), batch, time, state, options);
    const Variable loss =
        model->loss(h, fixture.at("targets" + chunk).span<std::int32_t>(), options);
    expect_close(model->freeze_tokens({})->log_probabilities(h.value()),
                 fixture.at("log_probs" + chunk), 2e-5, "log-probabilities of chunk " + chunk);
    EXPECT_NEAR(*loss.value().data<float>(), *fixture.at("loss" + chunk).data<double>(), 1e-5);
    tape.backward(loss);
    for (const Parameter& parameter : model->parameters()) {
      const Tensor grad = parameter.to_file ? parameter.to_file(parameter.variable.grad())
                                            : parameter.variable.grad();
      expect_close(grad, fixture.at("grad" + chunk + "." + parameter.name), 1e-5,
                   "gradient of " + parameter.name);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(PyTorch, Golden,
                         testing::Combine(testing::Values("gcnn_glu_adaptive",
                                                          "gcnn_gtu_bottleneck_tied",
                                                          "gcnn_swiglu_projection"),
                                          testing::Values(ConvPath::direct, ConvPath::fast)));

}  // namespace
}  // namespace sluice
