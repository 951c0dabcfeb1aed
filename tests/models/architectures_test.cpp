// What every architecture promises: gradients, causality, chunks that equal the whole text.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "models/support.hpp"
#include "sluice/nn/unit_layer.hpp"

namespace sluice {
namespace {

using test::check_model_gradients;
using test::loss_of;
using test::random_ids;
using test::small_gcnn;
using test::small_ngram;
using test::small_recurrent;
using test::small_transformer;

const std::map<std::string, ModelConfig>& configs() {
  static const std::map<std::string, ModelConfig> all = [] {
    std::map<std::string, ModelConfig> made;
    for (const std::string& unit : model_unit_names()) made["gcnn " + unit] = small_gcnn(unit);
    for (const std::string unit : {"tanh(a)*b", "a*silu(b)", "prelu(shared)", "maxout(3)"}) {
      made["gcnn " + unit] = small_gcnn(unit);
    }
    for (const std::string norm : {"none", "layer", "rms", "group", "batch"}) {
      made["gcnn norm " + norm] = small_gcnn();
      made["gcnn norm " + norm].norm = norm;
      made["gcnn norm " + norm].groups = 2;
      made["lstm norm " + norm] = small_recurrent("lstm");
      made["lstm norm " + norm].norm = norm;
      made["lstm norm " + norm].groups = 2;
      made["transformer norm " + norm] = small_transformer();
      made["transformer norm " + norm].norm = norm;
      made["transformer norm " + norm].groups = 2;
    }
    for (const std::string arch : {"rnn", "lstm", "gru", "indrnn", "mut1"}) {
      made[arch] = small_recurrent(arch);
      made[arch + " residual variational"] = small_recurrent(arch);
      made[arch + " residual variational"].shape<RecurrentShape>().residual = true;
      made[arch + " residual variational"].shape<RecurrentShape>().variational = true;
    }
    made["rnn relu"] = small_recurrent("rnn");
    made["rnn relu"].shape<RecurrentShape>().unit = "relu";
    made["gru reset before"] = small_recurrent("gru");
    made["gru reset before"].shape<RecurrentShape>().reset = "before";
    made["lstm without gates"] = small_recurrent("lstm");
    made["lstm without gates"].shape<RecurrentShape>().removed_gates = {"input", "output"};
    for (const std::string ffn : {"relu", "geglu", "swiglu", "prelu", "rrelu", "maxout"}) {
      made["transformer " + ffn] = small_transformer(ffn);
    }
    made["transformer learned positions"] = small_transformer();
    made["transformer learned positions"].shape<TransformerShape>().positions = "learned";
    made["ngram"] = small_ngram();
    made["ngram norm layer"] = small_ngram();
    made["ngram norm layer"].norm = "layer";
    for (auto& [name, config] : made) config.dropout = 0.2F;
    return made;
  }();
  return all;
}

class EveryModel : public testing::TestWithParam<std::string> {
 protected:
  const ModelConfig& config() const { return configs().at(GetParam()); }
};

TEST_P(EveryModel, GradientsOfTheWholeModel) { check_model_gradients(config()); }

TEST_P(EveryModel, TheFutureNeverChangesThePast) {
  const auto model = make_model(config(), 3, DType::f64);
  const std::int64_t vocabulary = config().vocabulary;
  const auto ids = random_ids(30, vocabulary, 1);
  const NoGrad guard;
  ModelState state;
  const Tensor before = model->hidden(ids, 1, 30, state, {}).value();
  for (const std::int64_t t : {0, 1, 14, 28, 29}) {
    auto changed = ids;
    for (std::size_t i = static_cast<std::size_t>(t); i < changed.size(); ++i) {
      changed[i] = static_cast<std::int32_t>((changed[i] + 1) % vocabulary);
    }
    ModelState fresh;
    const Tensor after = model->hidden(changed, 1, 30, fresh, {}).value();
    bool differs = false;
    for (std::int64_t i = 0; i < before.elements(); ++i) {
      if (i < t * before.dim(1)) {
        ASSERT_EQ(before.data<double>()[i], after.data<double>()[i]) << "position " << t;
      } else {
        differs = differs || before.data<double>()[i] != after.data<double>()[i];
      }
    }
    EXPECT_TRUE(differs);
  }
}

// Length 1 is what streaming does.
TEST_P(EveryModel, ChunksOfAnyLengthEqualTheWholeText) {
  const auto model = make_model(config(), 3, DType::f64);
  const auto ids = random_ids(40, config().vocabulary, 1);
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

// Texts of a batch that start at different chunks are read as each would be alone.
TEST_P(EveryModel, WhatStartsAnewSeesNothingBefore) {
  const auto model = make_model(config(), 3, DType::f64);
  constexpr std::int64_t chunk = 3;
  const std::vector<std::vector<std::uint8_t>> starts = {{1, 0}, {0, 0}, {1, 0}, {0, 1}, {0, 0}};
  const auto ids = random_ids(2 * chunk * 5, config().vocabulary, 1);
  const NoGrad guard;
  ModelState together;
  std::vector<ModelState> alone(2);
  for (std::size_t c = 0; c < starts.size(); ++c) {
    const auto part = std::span(ids).subspan(c * 2 * chunk, 2 * chunk);
    ForwardOptions options;
    options.starts = starts[c];
    const Tensor h = model->hidden(part, 2, chunk, together, options).value();
    for (std::size_t row = 0; row < 2; ++row) {
      if (starts[c][row] != 0) alone[row].tensors.clear();
      const Tensor own =
          model->hidden(part.subspan(row * chunk, chunk), 1, chunk, alone[row], {}).value();
      for (std::int64_t i = 0; i < own.elements(); ++i) {
        const std::int64_t at = static_cast<std::int64_t>(row) * own.elements() + i;
        ASSERT_NEAR(h.data<double>()[at], own.data<double>()[i], 1e-12)
            << "chunk " << c << ", text " << row;
      }
    }
  }
}

// A model with a bounded field reads no further back, and one that says it has none does.
TEST_P(EveryModel, DependsOnItsReceptiveField) {
  const auto model = make_model(config(), 3, DType::f64);
  const std::int64_t vocabulary = config().vocabulary;
  const auto ids = random_ids(24, vocabulary, 1);
  const auto last = [&](std::int64_t from) {
    const NoGrad guard;
    ModelState state;
    const auto part = std::span(ids).subspan(static_cast<std::size_t>(from));
    const auto time = static_cast<std::int64_t>(part.size());
    return model->hidden(part, 1, time, state, {}).value().rows(time - 1, time).clone();
  };
  const auto field = model->receptive_field();
  const Tensor whole = last(0);
  const auto difference = [&](const Tensor& other) {
    double most = 0;
    for (std::int64_t i = 0; i < whole.elements(); ++i) {
      most = std::max(most, std::abs(whole.data<double>()[i] - other.data<double>()[i]));
    }
    return most;
  };
  if (field) {
    ASSERT_LT(*field, 24);
    EXPECT_LT(difference(last(24 - *field)), 1e-12);
  } else {
    EXPECT_GT(difference(last(1)), 0);
  }
}

TEST_P(EveryModel, ParameterCountIsTheConfigs) {
  for (const bool tie : {false, true}) {
    for (const bool adaptive : {false, true}) {
      ModelConfig shape = config();
      shape.tie = tie;
      if (tie && shape.arch() != "transformer") shape.dim = 16;
      if (!adaptive) {
        shape.softmax = "full";
        shape.cutoffs = {};
      }
      EXPECT_EQ(parameter_count(make_model(shape, 1)->parameters()), shape.parameter_count());
    }
  }
}

TEST_P(EveryModel, ConfigurationRoundTrip) {
  const Value object = write_model(config());
  EXPECT_EQ(write_model(read_model(object, {.where = "model config"})), object);
}

INSTANTIATE_TEST_SUITE_P(Models, EveryModel, testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const auto& [name, config] : configs()) names.push_back(name);
                           return names;
                         }()));

TEST(Models, EveryRegisteredArchitectureIsTested) {
  for (const std::string& arch : architecture_names()) {
    EXPECT_TRUE(std::ranges::any_of(configs(), [&](const auto& each) {
      return each.second.arch() == arch;
    })) << arch;
  }
}

TEST(Models, GradientsOfEveryKindOfTokenLayer) {
  ModelConfig config = small_gcnn();
  config.shape<GcnnShape>().layers = parse_layers("[(16,3)]*2");
  config.dim = 16;
  for (const bool tie : {false, true}) {
    for (const std::string softmax : {"adaptive", "full"}) {
      for (const std::string norm : {"none", "weight"}) {
        config.tie = tie;
        config.softmax = softmax;
        config.norm = norm;
        config.cutoffs =
            softmax == "full" ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{5, 11};
        check_model_gradients(config);
      }
    }
  }
}

}  // namespace
}  // namespace sluice
