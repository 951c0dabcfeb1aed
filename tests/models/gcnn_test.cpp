#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <sstream>

#include "sluice/base/random.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/models/safetensors.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

std::vector<std::int32_t> random_ids(std::int64_t n, std::int64_t vocabulary,
                                     std::uint32_t stream) {
  std::vector<std::int32_t> ids;
  const RandomKey key{77, stream, 0};
  for (std::int64_t i = 0; i < n; ++i) {
    ids.push_back(static_cast<std::int32_t>(key.bits(static_cast<std::uint64_t>(i)) %
                                            static_cast<std::uint64_t>(vocabulary)));
  }
  return ids;
}

ModelConfig small_config(const std::string& unit = "glu") {
  ModelConfig config;
  config.layers = parse_layers("[(6,3),(6,1,0),(16,4,2),(16,2)]");
  config.vocabulary = 23;
  config.dim = 6;
  config.unit = unit;
  config.softmax = "adaptive";
  config.cutoffs = {5, 11};
  return config;
}

double loss_of(LanguageModel& model, std::span<const std::int32_t> ids,
               std::span<const std::int32_t> targets, std::int64_t batch, ModelState state,
               const ForwardOptions& options = {}) {
  const NoGrad guard;
  const Variable h =
      model.hidden(ids, batch, static_cast<std::int64_t>(ids.size()) / batch, state, options);
  return *model.loss(h, targets, options).value().data<double>();
}

// Every parameter's gradient of the whole model, dropout on, second chunk of a text.
void check_model(const ModelConfig& config) {
  const auto model = make_model(config, 3, DType::f64);
  const auto ids = random_ids(12, config.vocabulary, 1);
  const auto targets = random_ids(12, config.vocabulary, 2);
  ModelState state;
  {
    const NoGrad guard;
    model->hidden(random_ids(12, config.vocabulary, 3), 2, 6, state, {});
  }
  ForwardOptions options;
  options.training = true;
  options.step = 4;
  std::vector<Variable> inputs;
  for (const Parameter& parameter : model->parameters()) {
    // Away from the zeros biases start with.
    const Tensor noise = test::random_tensor(parameter.variable.shape(),
                                             static_cast<std::uint32_t>(100 + inputs.size()), 0.05);
    for (std::int64_t i = 0; i < noise.elements(); ++i) {
      parameter.variable.value().data<double>()[i] += noise.data<double>()[i];
    }
    inputs.push_back(parameter.variable);
  }
  test::check_gradients(
      inputs,
      [&] {
        ModelState from = state;
        const Variable h = model->hidden(ids, 2, 6, from, options);
        return model->loss(h, targets, options);
      },
      1e-7, 12);
}

class EveryUnit : public testing::TestWithParam<std::string> {};

TEST_P(EveryUnit, GradientsOfTheWholeModel) {
  ModelConfig config = small_config(GetParam());
  config.dropout = 0.2F;
  check_model(config);
}

TEST_P(EveryUnit, TheFutureNeverChangesThePast) {
  const ModelConfig config = small_config(GetParam());
  const auto model = make_model(config, 3, DType::f64);
  const auto ids = random_ids(30, config.vocabulary, 1);
  const NoGrad guard;
  ModelState state;
  const Tensor before = model->log_probabilities(model->hidden(ids, 1, 30, state, {}).value());
  for (const std::int64_t t : {0, 1, 14, 28, 29}) {
    auto changed = ids;
    for (std::size_t i = static_cast<std::size_t>(t); i < changed.size(); ++i) {
      changed[i] = static_cast<std::int32_t>((changed[i] + 1) % config.vocabulary);
    }
    ModelState fresh;
    const Tensor after = model->log_probabilities(model->hidden(changed, 1, 30, fresh, {}).value());
    bool differs = false;
    for (std::int64_t i = 0; i < before.elements(); ++i) {
      if (i < t * config.vocabulary) {
        ASSERT_EQ(before.data<double>()[i], after.data<double>()[i]) << "position " << t;
      } else {
        differs = differs || before.data<double>()[i] != after.data<double>()[i];
      }
    }
    EXPECT_TRUE(differs);
  }
}

INSTANTIATE_TEST_SUITE_P(Gcnn, EveryUnit, testing::ValuesIn([] {
                           std::vector<std::string> names = unit_names();
                           names.insert(names.end(), {"tanh(a)*b", "a*silu(b)"});
                           return names;
                         }()));

TEST(Gcnn, GradientsOfEveryKindOfTokenLayer) {
  ModelConfig config = small_config();
  config.layers = parse_layers("[(16,3)]*2");
  config.dim = 16;
  for (const bool tie : {false, true}) {
    for (const std::string softmax : {"adaptive", "full"}) {
      for (const bool weight_norm : {false, true}) {
        config.tie = tie;
        config.softmax = softmax;
        config.weight_norm = weight_norm;
        config.cutoffs =
            softmax == "full" ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{5, 11};
        check_model(config);
      }
    }
  }
}

TEST(Gcnn, LogProbabilitiesAreADistributionThatTheLossAgreesWith) {
  for (const bool tie : {false, true}) {
    ModelConfig config = small_config();
    config.layers = parse_layers("[(16,3)]*2");
    config.dim = 16;
    config.tie = tie;
    const auto model = make_model(config, 3, DType::f64);
    const auto ids = random_ids(20, config.vocabulary, 1);
    const auto targets = random_ids(20, config.vocabulary, 2);
    const NoGrad guard;
    ModelState state;
    const Variable h = model->hidden(ids, 2, 10, state, {});
    Tensor nll;
    const double loss = *model->loss(h, targets, {}, &nll).value().data<double>();
    const Tensor logs = model->log_probabilities(h.value());
    double mean = 0;
    for (std::int64_t r = 0; r < 20; ++r) {
      double total = 0;
      for (std::int64_t v = 0; v < config.vocabulary; ++v) {
        total += std::exp(logs.data<double>()[r * config.vocabulary + v]);
      }
      EXPECT_NEAR(total, 1.0, 1e-12);
      const double log =
          logs.data<double>()[r * config.vocabulary + targets[static_cast<std::size_t>(r)]];
      EXPECT_NEAR(nll.data<double>()[r], -log, 1e-12);
      mean -= log / 20;
    }
    EXPECT_NEAR(loss, mean, 1e-12);
  }
}

TEST(Gcnn, ChunksOfAnyLengthEqualTheWholeText) {
  const ModelConfig config = small_config();
  const auto model = make_model(config, 3, DType::f64);
  const auto ids = random_ids(40, config.vocabulary, 1);
  const NoGrad guard;
  ModelState whole_state;
  const Tensor whole = model->hidden(ids, 1, 40, whole_state, {}).value();
  for (const std::int64_t chunk : {1, 2, 3, 7, 39}) {
    ModelState state;
    for (std::int64_t t = 0; t < 40; t += chunk) {
      const std::int64_t n = std::min(chunk, 40 - t);
      const auto part =
          std::span(ids).subspan(static_cast<std::size_t>(t), static_cast<std::size_t>(n));
      const Tensor h = model->hidden(part, 1, n, state, {}).value();
      for (std::int64_t i = 0; i < h.elements(); ++i) {
        ASSERT_NEAR(h.data<double>()[i], whole.data<double>()[t * h.dim(1) + i], 1e-12);
      }
    }
  }
}

TEST(Gcnn, FreezingChangesNothing) {
  const ModelConfig config = small_config();
  const auto model = make_model(config, 3, DType::f64);
  const auto ids = random_ids(24, config.vocabulary, 1);
  const auto targets = random_ids(24, config.vocabulary, 2);
  const double before = loss_of(*model, ids, targets, 2, {});
  model->freeze();
  EXPECT_EQ(loss_of(*model, ids, targets, 2, {}), before);
  for (double& v : model->parameters().back().variable.value().span<double>()) v += 1;
  model->unfreeze();
  EXPECT_NE(loss_of(*model, ids, targets, 2, {}), before);
}

TEST(Gcnn, ParameterCountIsTheConfigs) {
  for (const bool tie : {false, true}) {
    ModelConfig config = small_config();
    EXPECT_EQ(parameter_count(make_model(config, 1)->parameters()), config.parameter_count());
    config.layers = parse_layers("[(16,3)]*2");
    config.dim = 16;
    config.tie = tie;
    EXPECT_EQ(parameter_count(make_model(config, 1)->parameters()), config.parameter_count());
    config.softmax = "full";
    config.cutoffs = {};
    config.weight_norm = false;
    EXPECT_EQ(parameter_count(make_model(config, 1)->parameters()), config.parameter_count());
  }
}

// --- Against PyTorch -----------------------------------------------------------------------------

using Fixture = std::map<std::string, Tensor>;

std::unique_ptr<LanguageModel> golden_model(const std::string& name, Fixture& fixture) {
  Metadata metadata;
  for (auto& [key, tensor] : read_safetensors(
           std::string(SLUICE_SOURCE_DIR "/tests/golden/") + name + ".safetensors", &metadata)) {
    fixture.emplace(key, tensor);
  }
  ModelConfig config;
  config.layers = parse_layers(metadata.at("layers"));
  config.dim = std::stoll(metadata.at("dim"));
  config.vocabulary = std::stoll(metadata.at("vocabulary"));
  config.unit = metadata.at("unit");
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
    expect_close(model->log_probabilities(h.value()), fixture.at("log_probs" + chunk), 2e-5,
                 "log-probabilities of chunk " + chunk);
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
