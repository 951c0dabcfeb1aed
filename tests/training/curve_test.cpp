// The loss of twenty steps against PyTorch's (tests/golden/README.md).
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <sstream>

#include "sluice/models/gcnn.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/training/optimizer.hpp"

namespace sluice {
namespace {

using Tensors = std::map<std::string, Tensor>;

Tensors read(const std::string& name, Metadata& metadata) {
  Tensors out;
  const auto path = std::filesystem::path(SLUICE_SOURCE_DIR) / "tests" / "golden" / name;
  for (auto& [key, tensor] : read_safetensors(path, &metadata)) out[key] = tensor;
  return out;
}

std::unique_ptr<LanguageModel> golden_model() {
  Metadata metadata;
  const Tensors tensors = read("gcnn_glu_adaptive.safetensors", metadata);
  ModelConfig config;
  config.shape<GcnnShape>().layers = parse_layers(metadata.at("layers"));
  config.dim = std::stoll(metadata.at("dim"));
  config.vocabulary = std::stoll(metadata.at("vocabulary"));
  config.shape<GcnnShape>().unit = metadata.at("unit");
  config.softmax = metadata.at("softmax");
  std::istringstream cutoffs(metadata.at("cutoffs"));
  for (std::string cutoff; std::getline(cutoffs, cutoff, ',');) {
    config.cutoffs.push_back(std::stoll(cutoff));
  }
  config.tie = metadata.at("tie") == "1";
  auto model = make_model(config, 1);
  for (const Parameter& parameter : model->parameters()) {
    const Tensor& value = tensors.at(parameter.name);
    parameter.variable.value().copy_from(parameter.from_file ? parameter.from_file(value) : value);
  }
  return model;
}

/// Trains as the fixture did and compares every loss: relative tolerance 1e-4 (the issue asks for
/// 1e-3; PyTorch's own float32 and float64 curves are within 1e-6 of each other), and the final
/// parameters: absolute tolerance 1e-4.
void follow(const std::string& name, OptimizerConfig config, ConvPath path) {
  Metadata metadata;
  const Tensors curve = read("curve.safetensors", metadata);
  const auto setting = [&](const std::string& key) { return std::stod(metadata.at(name + key)); };
  if (config.kind == OptimizerKind::nesterov) {
    config.momentum = setting(".momentum");
  } else {
    config.beta1 = setting(".beta1");
    config.beta2 = setting(".beta2");
  }
  const auto model = golden_model();
  Optimizer optimizer(model->parameters(), config);
  const Tensor& tokens = curve.at("tokens");
  const std::int64_t batch = tokens.dim(0);
  const std::int64_t time = 16;
  const Tensor& losses = curve.at(name + ".losses");
  ModelState state;
  std::vector<std::int32_t> inputs(static_cast<std::size_t>(batch * time));
  std::vector<std::int32_t> targets(inputs.size());
  for (std::int64_t step = 0; step < losses.elements(); ++step) {
    for (std::int64_t b = 0; b < batch; ++b) {
      const std::int32_t* row = tokens.data<std::int32_t>() + b * tokens.dim(1) + step * time;
      std::copy(row, row + time, inputs.begin() + b * time);
      std::copy(row + 1, row + 1 + time, targets.begin() + b * time);
    }
    const ForwardOptions options{
        .training = true, .seed = 1, .step = static_cast<std::uint32_t>(step), .conv = path};
    Tape tape;
    const Variable loss =
        model->loss(model->hidden(inputs, batch, time, state, options), targets, options);
    const double expected = losses.dtype() == DType::f64
                                ? losses.data<double>()[step]
                                : static_cast<double>(losses.data<float>()[step]);
    EXPECT_NEAR(static_cast<double>(loss.value().data<float>()[0]), expected, 1e-4 * expected)
        << name << " step " << step;
    tape.backward(loss);
    optimizer.step(setting(".lr"), clip_coefficient(optimizer.gradient_norm(), setting(".clip")));
    optimizer.zero_gradients();
  }
  int compared = 0;
  for (const Parameter& parameter : model->parameters()) {
    const auto it = curve.find(name + ".final." + parameter.name);
    if (it == curve.end()) continue;
    ++compared;
    const Tensor& value = parameter.variable.value();
    const Tensor ours = parameter.to_file ? parameter.to_file(value) : value;
    ASSERT_EQ(ours.shape(), it->second.shape());
    for (std::int64_t i = 0; i < ours.elements(); ++i) {
      ASSERT_NEAR(ours.data<float>()[i], it->second.data<float>()[i], 1e-4) << it->first;
    }
  }
  EXPECT_EQ(compared, 3);
}

TEST(Curve, NesterovFollowsPyTorch) {
  OptimizerConfig config;
  config.kind = OptimizerKind::nesterov;
  follow("nesterov", config, ConvPath::direct);
  follow("nesterov", config, ConvPath::fast);
}

TEST(Curve, AdamFollowsPyTorch) {
  OptimizerConfig config;
  config.kind = OptimizerKind::adam;
  follow("adam", config, ConvPath::direct);
  follow("adam", config, ConvPath::fast);
}

}  // namespace
}  // namespace sluice
