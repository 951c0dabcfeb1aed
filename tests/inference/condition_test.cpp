// Conditional models in use: a label that all rows share, labels of rows' own, sessions, runtime
// models, evaluation of labelled text.

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/inference/evaluate.hpp"
#include "sluice/inference/predictor.hpp"
#include "sluice/inference/runtime_model.hpp"
#include "sluice/inference/session.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/models/recurrent.hpp"
#include "sluice/models/transformer.hpp"
#include "support.hpp"

namespace sluice {
namespace {

using testing_support::random_ids;

constexpr std::int64_t kVocabulary = 30;
constexpr std::size_t kLength = 50;

const std::map<std::string, ModelConfig>& configs() {
  static const std::map<std::string, ModelConfig> all = [] {
    std::map<std::string, ModelConfig> made;
    for (const std::string arch : {"gcnn", "lstm", "indrnn", "transformer"}) {
      ModelConfig config(arch);
      config.dim = 16;
      config.vocabulary = kVocabulary;
      config.softmax = "full";
      config.labels = {"de", "en"};
      if (arch == "gcnn") {
        config.shape<GcnnShape>().layers = parse_layers("[(16,4)] + [(12,1,0),(16,3,2)]*2");
      } else if (arch == "transformer") {
        config.shape<TransformerShape>() = {.depth = 2, .heads = 2, .window = 9, .ffn_width = 20};
      } else {
        config.shape<RecurrentShape>().depth = 2;
        config.shape<RecurrentShape>().hidden = 24;
      }
      made[arch] = config;
    }
    made["gcnn layer norm"] = made["gcnn"];
    made["gcnn layer norm"].norm = "layer";
    made["gcnn rrelu"] = made["gcnn"];
    made["gcnn rrelu"].shape<GcnnShape>().unit = "rrelu";
    return made;
  }();
  return all;
}

std::unique_ptr<LanguageModel> make(const ModelConfig& config) {
  auto model = make_model(config, 5);
  std::uint32_t stream = 0;
  for (const Parameter& parameter : model->parameters()) {
    const RandomKey key{9, stream++, 0};
    const Tensor& value = parameter.variable.value();
    for (std::int64_t i = 0; i < value.elements(); ++i) {
      value.data<float>()[i] += 0.4F * (key.uniform(static_cast<std::uint64_t>(i)) - 0.5F);
    }
  }
  return model;
}

Tensor model_hidden(LanguageModel& model, const RowLabels& labels) {
  const NoGrad guard;
  ModelState state;
  ForwardOptions options;
  options.labels = labels;
  return model.hidden(random_ids(kLength, kVocabulary), 1, kLength, state, options).value();
}

void expect_near(const Tensor& actual, const Tensor& expected) {
  ASSERT_EQ(actual.shape(), expected.shape());
  for (std::int64_t i = 0; i < actual.elements(); ++i) {
    const double e = expected.data<float>()[i];
    ASSERT_NEAR(actual.data<float>()[i], e, 1e-5 * (1 + std::abs(e))) << "element " << i;
  }
}

/// What is there of `count` labels from `at`.
std::span<const std::int32_t> portion_of(std::span<const std::int32_t> labels, std::size_t at,
                                         std::size_t count) {
  return labels.subspan(at, std::min(count, labels.size() - at));
}

/// Reads the text in portions: [T, H].
Tensor read(const FrozenModel& model, std::size_t portion,
            const std::vector<std::int32_t>& labels = {}) {
  const auto ids = random_ids(kLength, kVocabulary);
  Tensor all;
  StackState state;
  StackState* const pointer = &state;
  for (std::size_t at = 0; at < kLength; at += portion) {
    const std::size_t count = std::min(portion, kLength - at);
    const auto length = static_cast<std::int64_t>(count);
    const std::span next = std::span(ids).subspan(at, count);
    const PackedRows rows({&length, 1});
    const Tensor hidden = labels.empty() ? model.hidden(next, rows, {&pointer, 1})
                                         : model.hidden(next, rows, {&pointer, 1},
                                                        {.each = portion_of(labels, at, count)});
    if (!all.defined()) all = Tensor(Shape{kLength, hidden.dim(1)});
    const auto first = static_cast<std::int64_t>(at);
    all.rows(first, first + length).copy_from(hidden);
  }
  return all;
}

std::vector<std::int32_t> changing_labels() {
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < kLength; ++i) labels.push_back(static_cast<std::int32_t>(i / 7 % 3));
  return labels;
}

TEST(ConditionedModel, GivesWhatTheModelGivesWhateverThePortions) {
  for (const auto& [name, config] : configs()) {
    SCOPED_TRACE(name);
    const auto model = make(config);
    const auto frozen = FrozenModel::freeze(*model);
    for (const std::int32_t label : {0, 1, 2}) {
      const Tensor expected = model_hidden(*model, {.all = label});
      for (const std::size_t portion : {std::size_t{1}, std::size_t{7}, kLength}) {
        expect_near(read(*frozen->conditioned(label), portion), expected);
      }
    }
    const auto labels = changing_labels();
    const Tensor expected = model_hidden(*model, {.each = labels});
    for (const std::size_t portion : {std::size_t{1}, std::size_t{9}, kLength}) {
      expect_near(read(*frozen, portion, labels), expected);
    }
    EXPECT_THROW((void)frozen->conditioned(3), UsageError);
    EXPECT_THROW((void)read(*frozen, kLength, {1, 2, 1}), Error);
  }
}

TEST(ConditionedModel, SessionsAndPredictorsAreUnderItsLabel) {
  const auto model = make(configs().at("gcnn"));
  const auto frozen = FrozenModel::freeze(*model);
  const auto ids = random_ids(kLength, kVocabulary);
  for (const std::int32_t label : {0, 2}) {
    const auto conditioned = frozen->conditioned(label);
    EXPECT_EQ(conditioned->label(), label);
    Session session = conditioned->session();
    for (const std::int32_t id : ids) session.feed(id);
    const Tensor whole = read(*conditioned, kLength);
    expect_near(session.hidden(), whole.rows(kLength - 1, kLength));
    const auto predictor = make_predictor(conditioned);
    PredictorState state;
    predictor->feed(state, std::span(ids).first(1));
    const auto nll = predictor->nll(state, std::span(ids).subspan(1));
    const auto expected = conditioned->nll(whole.rows(0, kLength - 1), std::span(ids).subspan(1));
    ASSERT_EQ(nll.size(), expected.size());
    for (std::size_t i = 0; i < nll.size(); ++i) EXPECT_NEAR(nll[i], expected[i], 1e-5);
  }
}

TEST(ConditionedModel, RuntimeModelsKeepTheirLabels) {
  const auto directory = std::filesystem::temp_directory_path() /
                         ("sluice_condition_test_" + std::to_string(getpid()));
  const auto words = testing_support::tokenizer("byte", "abc\n");
  for (const auto& [name, given] : configs()) {
    SCOPED_TRACE(name);
    ModelConfig config = given;
    config.vocabulary = words->size();
    const auto model = make(config);
    std::filesystem::remove_all(directory);
    std::filesystem::create_directories(directory / "trained");
    const ModelDirectory files(directory / "trained");
    files.save(*model, *words);
    write_runtime_model(directory / "runtime", files, WeightPrecision::int8);
    const auto loaded = load_frozen_model(directory / "runtime");
    const auto frozen = FrozenModel::freeze(*model, {.precision = WeightPrecision::int8});
    EXPECT_EQ(loaded.model->config().labels, config.labels);
    for (const std::int32_t label : {0, 1}) {
      expect_near(read(*loaded.model->conditioned(label), 7), read(*frozen->conditioned(label), 7));
    }
  }
  std::filesystem::remove_all(directory);
}

TEST(ConditionedModel, LabelledTextIsEvaluatedUnderItsLabels) {
  for (const auto& [name, config] : configs()) {
    SCOPED_TRACE(name);
    const auto model = make(config);
    const auto frozen = FrozenModel::freeze(*model);
    const auto ids = random_ids(400, kVocabulary);
    const TokenShards plain(ids, 0, kVocabulary);
    std::vector<std::int32_t> lines;
    for (std::int64_t i = 0; i < plain.info().lines; ++i) {
      lines.push_back(static_cast<std::int32_t>(i % 3));
    }
    std::vector<std::int32_t> whole = ids;
    while (whole.back() != 0) whole.pop_back();  // labels are of whole lines
    const TokenShards text(whole, 0, kVocabulary);
    const TokenShards labelled = text.labelled(std::make_shared<const TokenLabels>(text, lines));
    const auto n = static_cast<std::int64_t>(whole.size());
    std::vector<std::int32_t> inputs(whole.size()), targets(whole.size()), labels(whole.size());
    labelled.read_pairs(0, n, inputs.data(), targets.data());
    labelled.labels()->read(0, n, labels.data());
    StackState state;
    StackState* const pointer = &state;
    const auto nll = frozen->nll(
        frozen->hidden(inputs, PackedRows({&n, 1}), {&pointer, 1}, {.each = labels}), targets);
    double sum = 0;
    for (const double x : nll) sum += x;
    for (const std::int64_t chunk : {0, 11}) {
      EvalOptions options;
      options.chunk = chunk;
      EXPECT_NEAR(evaluate(*frozen, labelled, options).nll, sum, 1e-3);
    }
    EXPECT_GT(std::abs(evaluate(*frozen, text).nll - sum), 1e-2);
    EvalOptions small;
    small.chunk = 13;
    EXPECT_NEAR(evaluate(*frozen->conditioned(1), text).nll,
                evaluate(*frozen->conditioned(1), text, small).nll, 1e-3);
  }
}

}  // namespace
}  // namespace sluice
