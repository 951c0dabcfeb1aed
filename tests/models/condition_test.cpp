// Models that are conditional on labels: gradients, what labels reach, what they do not change.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "models/support.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

ModelConfig with_labels(ModelConfig config) {
  config.labels = {"author", "poet", "critic"};
  return config;
}

std::map<std::string, ModelConfig> configs() {
  std::map<std::string, ModelConfig> all;
  for (const std::string unit : {"glu", "gtu", "swiglu", "relu"}) {
    all["gcnn " + unit] = with_labels(test::small_gcnn(unit));
  }
  all["gcnn layer norm"] = all["gcnn glu"];
  all["gcnn layer norm"].norm = "layer";
  for (const std::string arch : {"rnn", "lstm", "gru", "indrnn", "mut1"}) {
    all[arch] = with_labels(test::small_recurrent(arch));
  }
  all["indrnn layer norm residual"] = all["indrnn"];
  all["indrnn layer norm residual"].norm = "layer";
  all["indrnn layer norm residual"].shape<RecurrentShape>().residual = true;
  all["transformer"] = with_labels(test::small_transformer());
  return all;
}

// Of 2 texts of 6 positions.
const std::vector<std::int32_t> kLabels = {1, 1, 2, 2, 2, 0, 3, 3, 3, 3, 1, 1};

/// V is zero at first; labels differ from then on.
void draw_conditions(const LanguageModel& model) {
  std::uint32_t stream = 500;
  for (const Parameter& parameter : model.parameters()) {
    if (parameter.name.find("condition") == std::string::npos) continue;
    const Tensor noise = test::random_tensor(parameter.variable.shape(), stream++);
    parameter.variable.set_value(noise.to(parameter.variable.dtype()));
  }
}

Tensor hidden_of(LanguageModel& model, const RowLabels& labels, bool training = false,
                 std::uint32_t step = 0) {
  const NoGrad guard;
  ModelState state;
  ForwardOptions options;
  options.labels = labels;
  options.training = training;
  options.step = step;
  return model.hidden(test::random_ids(12, 23, 1), 2, 6, state, options).value();
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

TEST(ConditionalModel, EveryGradientAgreesWithDifferences) {
  for (const auto& [name, config] : configs()) {
    SCOPED_TRACE(name);
    test::check_model_gradients(config, {.each = kLabels});
  }
}

TEST(ConditionalModel, AsManyParametersAsItSays) {
  for (const auto& [name, config] : configs()) {
    SCOPED_TRACE(name);
    EXPECT_EQ(config.parameter_count(), parameter_count(make_model(config, 1)->parameters()));
    const ModelConfig plain = without_labels(config);
    EXPECT_GT(config.parameter_count(), plain.parameter_count());
    EXPECT_EQ(config.architecture().multiplications(config),
              plain.architecture().multiplications(plain));
  }
}

TEST(ConditionalModel, StartsAsTheModelWithoutLabels) {
  for (const auto& [name, config] : configs()) {
    SCOPED_TRACE(name);
    const auto model = make_model(config, 5), plain = make_model(without_labels(config), 5);
    std::map<std::string, Tensor> own;
    for (const Parameter& p : model->parameters()) own[p.name] = p.variable.value();
    for (const Parameter& p : plain->parameters()) {
      EXPECT_TRUE(same(p.variable.value(), own.at(p.name))) << p.name;
    }
    EXPECT_GT(model->parameters().size(), plain->parameters().size());
  }
}

TEST(ConditionalModel, ALabelReachesItsPositionsAndNoneBefore) {
  for (const auto& [name, config] : configs()) {
    SCOPED_TRACE(name);
    const auto model = make_model(config, 5, DType::f64);
    draw_conditions(*model);
    std::vector<std::int32_t> other = kLabels;
    other[3] = 1;
    const Tensor a = hidden_of(*model, {.each = kLabels}), b = hidden_of(*model, {.each = other});
    const std::int64_t width = a.dim(1);
    for (std::int64_t row = 0; row < 12; ++row) {
      const bool equal = std::memcmp(a.data<double>() + row * width, b.data<double>() + row * width,
                                     static_cast<std::size_t>(width) * sizeof(double)) == 0;
      if (row < 3 || row >= 6) {
        EXPECT_TRUE(equal) << row;
      } else if (row == 3) {
        EXPECT_FALSE(equal);
      }
    }
    const std::vector<std::int32_t> twos(12, 2);
    EXPECT_TRUE(same(hidden_of(*model, {.all = 2}), hidden_of(*model, {.each = twos})));
    EXPECT_FALSE(same(hidden_of(*model, {.all = 2}), hidden_of(*model, {})));
  }
}

TEST(ConditionalModel, DropsWholeRunsOfLabelsInTrainingAlone) {
  ModelConfig config = with_labels(test::small_gcnn());
  config.label_dropout = 0.5F;
  const auto model = make_model(config, 5, DType::f64);
  draw_conditions(*model);
  const Tensor evaluated = hidden_of(*model, {.each = kLabels});
  EXPECT_TRUE(same(evaluated, hidden_of(*model, {.each = kLabels}, false, 7)));
  // Every training step's labels are those given with some of their runs unknown.
  const std::vector<std::size_t> ends = {2, 5, 6, 10, 12};
  std::vector<Tensor> possible;
  for (unsigned dropped = 0; dropped < 32; ++dropped) {
    std::vector<std::int32_t> labels = kLabels;
    std::size_t begin = 0;
    for (std::size_t run = 0; run < ends.size(); begin = ends[run++]) {
      if ((dropped >> run & 1U) != 0) {
        std::fill(labels.begin() + static_cast<std::ptrdiff_t>(begin),
                  labels.begin() + static_cast<std::ptrdiff_t>(ends[run]), 0);
      }
    }
    possible.push_back(hidden_of(*model, {.each = labels}));
  }
  std::size_t unlike = 0;
  for (std::uint32_t step = 0; step < 20; ++step) {
    const Tensor trained = hidden_of(*model, {.each = kLabels}, true, step);
    EXPECT_TRUE(std::any_of(possible.begin(), possible.end(),
                            [&](const Tensor& other) { return same(trained, other); }));
    unlike += same(trained, evaluated) ? 0U : 1U;
  }
  EXPECT_GT(unlike, 10U);
  config.label_dropout = 0;
  const auto never = make_model(config, 5, DType::f64);
  draw_conditions(*never);
  EXPECT_TRUE(same(evaluated, hidden_of(*never, {.each = kLabels}, true, 3)));
}

TEST(ConditionalModel, ConfigsNameTheirLabels) {
  ModelConfig config = with_labels(test::small_gcnn());
  EXPECT_EQ(config.label("author"), 1);
  EXPECT_EQ(config.label("critic"), 3);
  EXPECT_THROW(config.label("poets"), UsageError);
  EXPECT_THROW(test::small_gcnn().label("poet"), UsageError);
  const ModelConfig read =
      read_model(write_model(config), {.where = "test", .origin = FieldPlace::Origin::file});
  EXPECT_EQ(read.labels, config.labels);
  EXPECT_EQ(write_model(test::small_gcnn()).find("labels"), nullptr);
  EXPECT_EQ(write_model(test::small_gcnn()).find("label_dropout"), nullptr);
  config.labels = {"a", "b", "a"};
  EXPECT_THROW(config.validate(), UsageError);
  config.labels = {"a", ""};
  EXPECT_THROW(config.validate(), UsageError);
  // An architecture whose layers do not read labels.
  EXPECT_THROW(with_labels(test::small_ngram()).validate(), UsageError);
}

}  // namespace
}  // namespace sluice
