// Inspections: layers.

#include "sluice/lab/inspect/inspect.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "../../../src/lab/inspect/layer_measures.hpp"
#include "inspect_support.hpp"
#include "sluice/base/file.hpp"
#include "sluice/inference/evaluate.hpp"
#include "support/model_configs.hpp"

namespace sluice::lab_test {
namespace {

using nlohmann::json;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// What a model of one gated convolution does on a text, in plain loops.
struct OneLayer {
  struct Halves {
    double value = 0, of_a = 0, of_b = 0;  // of the unit: value and derivatives
  };
  using Gate = Halves (*)(double a, double b);

  OneLayer(const LanguageModel& model, const TokenShards& text, std::int64_t tokens, Gate unit) {
    const LayerSpec spec = model.config().shape<GcnnShape>().layers.front();
    const std::int64_t dim = model.config().dim, n = spec.channels, k = spec.kernel;
    const std::int64_t vocabulary = model.config().vocabulary;
    const Tensor embedding = parameter(model, "embedding.weight");
    const Tensor weight = parameter(model, "layers.0.weight");  // [2N, C, K]
    const Tensor bias = parameter(model, "layers.0.bias");
    const Tensor out = parameter(model, "softmax.weight");
    const Tensor out_bias = parameter(model, "softmax.bias");
    std::vector<TokenId> ids(static_cast<std::size_t>(tokens));
    std::vector<TokenId> targets = ids;
    text.read_pairs(0, tokens, ids.data(), targets.data());
    for (std::int64_t t = 0; t < tokens; ++t) {
      std::vector<double> z(static_cast<std::size_t>(2 * n));
      for (std::int64_t m = 0; m < 2 * n; ++m) {
        double sum = bias.data<double>()[m];
        for (std::int64_t tap = 0; tap < k; ++tap) {
          const std::int64_t from = t - (k - 1) + tap;
          for (std::int64_t c = 0; from >= 0 && c < dim; ++c) {
            sum += weight.data<double>()[(m * dim + c) * k + tap] *
                   embedding.data<double>()[ids[static_cast<std::size_t>(from)] * dim + c];
          }
        }
        z[static_cast<std::size_t>(m)] = sum;
      }
      std::vector<double> logits(static_cast<std::size_t>(vocabulary));
      double total = 0;
      for (std::int64_t v = 0; v < vocabulary; ++v) {
        double logit = out_bias.data<double>()[v];
        for (std::int64_t j = 0; j < n; ++j) {
          logit += out.data<double>()[v * n + j] * at(z, j, n, unit).value;
        }
        logits[static_cast<std::size_t>(v)] = std::exp(logit);
        total += std::exp(logit);
      }
      const TokenId target = targets[static_cast<std::size_t>(t)];
      nll.push_back(std::log(total / logits[static_cast<std::size_t>(target)]));
      for (std::int64_t j = 0; j < n; ++j) {
        double dy = 0;
        for (std::int64_t v = 0; v < vocabulary; ++v) {
          const double p = logits[static_cast<std::size_t>(v)] / total;
          dy += (p - (v == target ? 1 : 0)) * out.data<double>()[v * n + j];
        }
        dy /= static_cast<double>(tokens);
        const Halves y = at(z, j, n, unit);
        outputs.push_back(y.value);
        gates.push_back(sigmoid(z[static_cast<std::size_t>(n + j)]));
        d_unit += dy * dy;
        da += dy * dy * y.of_a * y.of_a;
        db += dy * dy * y.of_b * y.of_b;
      }
    }
  }

  static Halves at(const std::vector<double>& z, std::int64_t j, std::int64_t n, Gate unit) {
    return unit(z[static_cast<std::size_t>(j)], z[static_cast<std::size_t>(n + j)]);
  }

  std::vector<double> nll, outputs, gates;
  double d_unit = 0, da = 0, db = 0;
};

OneLayer::Halves glu(double a, double b) {
  const double s = sigmoid(b);
  return {a * s, s, a * s * (1 - s)};
}

OneLayer::Halves gtu(double a, double b) {
  const double s = sigmoid(b);
  const double t = std::tanh(a);
  return {t * s, (1 - t * t) * s, t * s * (1 - s)};
}

double average(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// A model of one layer whose gates are wide awake: some saturated, some not.
std::unique_ptr<LanguageModel> one_layer(const Inspect& test, const std::string& unit) {
  ModelConfig config = test.config("[(5,2,0)]", unit);
  auto model = make_model(config, 3, DType::f64);
  spread_parameters(*model, 0.8);
  return model;
}

// 700 tokens are two chunks; the last layer's gradients do not cross their border. To 1e-10.
TEST_F(Inspect, LayerMeasuresEqualPlainLoops) {
  for (const auto& [name, unit] : {std::pair{"glu", &glu}, std::pair{"gtu", &gtu}}) {
    const auto model = one_layer(*this, name);
    const json got = as_json(inspect_model(*model, *tokenizer_, *text_, {.tokens = 700}));
    const OneLayer expected(*model, *text_, 700, unit);
    ASSERT_EQ(got["layers"].size(), 1U);
    const json& layer = got["layers"][0];
    EXPECT_EQ(layer["name"], "layers.0");
    EXPECT_EQ(layer["unit"], name);

    EXPECT_EQ(layer["gate"]["of"], "sigmoid(b)");
    EXPECT_NEAR(layer["gate"]["mean"], average(expected.gates), 1e-10);
    const auto count = static_cast<double>(expected.gates.size());
    std::vector<double> histogram(20);
    double saturated = 0;
    for (const double gate : expected.gates) {
      histogram[static_cast<std::size_t>(gate * 20)] += 1 / count;
      if (gate < 0.05 || gate > 0.95) saturated += 1 / count;
    }
    EXPECT_GT(saturated, 0.05);
    EXPECT_LT(saturated, 0.95);
    EXPECT_NEAR(layer["gate"]["saturated_share"], saturated, 1e-10);
    for (std::size_t i = 0; i < 20; ++i) {
      EXPECT_NEAR(layer["gate"]["histogram"][i], histogram[i], 1e-10) << i;
    }

    const double mean = average(expected.outputs);
    double variance = 0;
    for (const double y : expected.outputs) variance += (y - mean) * (y - mean) / count;
    EXPECT_NEAR(layer["activation"]["mean"], mean, 1e-10);
    EXPECT_NEAR(layer["activation"]["variance"], variance, 1e-10);
    EXPECT_EQ(layer["dead_share"], 0);

    const json& gradient = layer["gradient"];
    const double both = expected.da + expected.db;
    EXPECT_NEAR(gradient["norm"], std::sqrt(expected.d_unit), 1e-10 * std::sqrt(expected.d_unit));
    EXPECT_NEAR(gradient["linear_share"], expected.da / both, 1e-10);
    EXPECT_NEAR(gradient["gate_share"], expected.db / both, 1e-10);
    EXPECT_NEAR(gradient["linear_gain"], std::sqrt(expected.da / expected.d_unit), 1e-10);
    EXPECT_NEAR(gradient["gate_gain"], std::sqrt(expected.db / expected.d_unit), 1e-10);

    EXPECT_EQ(got["probed_tokens"], 700);
    EXPECT_NEAR(got["loss"], average(expected.nll), 1e-10);
    ASSERT_EQ(got["surprisal"].size(), 700U);
    for (std::size_t i = 0; i < 700; ++i) {
      EXPECT_NEAR(got["surprisal"][i]["nats"], expected.nll[i], 1e-10) << i;
    }
    TokenId first = 0;
    text_->read(0, 1, &first);
    EXPECT_EQ(got["surprisal"][0]["text"], tokenizer_->token(first));
  }
}

// tanh' and relu' by themselves: the gain of a unit of one input.
TEST_F(Inspect, GainOfOneInputUnits) {
  ModelConfig config = this->config("[(5,2,0)]", "tanh");
  const auto model = make_model(config, 3, DType::f64);
  spread_parameters(*model, 0.8);
  const json got = as_json(
      inspect_model(*model, *tokenizer_, *text_, {.tokens = 300, .lags = false, .context = false}));
  EXPECT_TRUE(got["lags"].is_null());
  EXPECT_TRUE(got["context"].is_null());
  const json& layer = got["layers"][0];
  EXPECT_TRUE(layer["gate"].is_null());
  EXPECT_TRUE(layer["gradient"]["linear_share"].is_null());
  EXPECT_TRUE(layer["gradient"]["gate_gain"].is_null());
  const double gain = layer["gradient"]["linear_gain"];
  EXPECT_GT(gain, 0.1);
  EXPECT_LT(gain, 0.9);

  // As a gate whose second half is 1: tanh(a) · 1, with the same a.
  config.shape<GcnnShape>().unit = "tanh(a)*b";
  const auto gated = make_model(config, 3, DType::f64);
  for (const Parameter& each : gated->parameters()) {
    const Tensor from = parameter(*model, each.name);
    if (each.name != "layers.0.weight" && each.name != "layers.0.bias") {
      each.variable.value().copy_from(from);
      continue;
    }
    Tensor file =
        each.to_file ? each.to_file(each.variable.value()) : each.variable.value().clone();
    const std::int64_t half = file.elements() / 2;
    for (std::int64_t i = 0; i < half; ++i) {
      file.data<double>()[i] = from.data<double>()[i];
      file.data<double>()[half + i] = each.name == "layers.0.bias" ? 1 : 0;
    }
    each.variable.value().copy_from(each.from_file ? each.from_file(file) : file);
  }
  const json same = as_json(
      inspect_model(*gated, *tokenizer_, *text_, {.tokens = 300, .lags = false, .context = false}));
  EXPECT_NEAR(same["layers"][0]["gradient"]["linear_gain"], gain, 1e-12);
  EXPECT_NEAR(same["layers"][0]["gradient"]["norm"], layer["gradient"]["norm"], 1e-12);
}

TEST_F(Inspect, DeadChannelsAreThoseRiggedDead) {
  // Biases of projections: dead by closed rectifiers, closed gates, and never positive values.
  const auto share = [&](const std::string& unit, const std::vector<std::int64_t>& rigged,
                         double bias) {
    const auto model = make_model(config("[(8,2,0)]", unit), 3);
    for (const Parameter& each : model->parameters()) {
      if (each.name != "layers.0.bias") continue;
      for (const std::int64_t i : rigged) {
        each.variable.value().data<float>()[i] = static_cast<float>(bias);
      }
    }
    const json got = as_json(inspect_model(*model, *tokenizer_, *text_,
                                           {.tokens = 200, .lags = false, .context = false}));
    return got["layers"][0]["dead_share"].get<double>();
  };
  EXPECT_EQ(share("relu", {1, 6}, -1e3), 0.25);
  EXPECT_EQ(share("relu", {1, 6}, 1e3), 0);
  EXPECT_EQ(share("leaky_relu", {1, 6}, -1e3), 0);
  EXPECT_EQ(share("silu", {2}, -40), 0.125);
  EXPECT_EQ(share("glu", {8, 9, 15}, -1e4), 0.375);
  EXPECT_EQ(share("reglu", {0}, -1e3), 0.125);
}

TEST_F(Inspect, FindsTheGateOfAUnit) {
  const auto formula = [](const std::string& unit) {
    const auto gate = gate_of(parse_unit_spec(unit));
    return gate ? gate->formula : "";
  };
  EXPECT_EQ(formula("glu"), "sigmoid(b)");
  EXPECT_EQ(formula("gtu"), "sigmoid(b)");
  EXPECT_EQ(formula("reglu_sigmoid"), "sigmoid(b)");
  EXPECT_EQ(formula("a*hardsigmoid(b)"), "hardsigmoid(b)");
  EXPECT_EQ(formula("sigmoid"), "sigmoid(x)");
  EXPECT_EQ(formula("swiglu"), "silu(a)/a");
  EXPECT_EQ(formula("geglu"), "gelu(a)/a");
  EXPECT_EQ(formula("silu"), "silu(x)/x");
  for (const char* unit : {"tanh", "relu", "bilinear", "reglu", "prelu", "maxout", "softmax"}) {
    EXPECT_EQ(formula(unit), "") << unit;
  }
}

TEST_F(Inspect, OpennessOfSelfGatedUnits) {
  // silu(x) / x = σ(x): the same gate as that of sigmoid, by the same projection.
  const auto gate = [&](const std::string& unit) {
    const auto model = make_model(config("[(8,2,0)]", unit), 3, DType::f64);
    std::uint32_t stream = 0;
    for (const Parameter& each : model->parameters()) {
      if (each.name.starts_with("layers.0")) {
        each.variable.value().copy_from(test::random_tensor(each.variable.shape(), ++stream, 0.8));
      }
    }
    return as_json(
        inspect_model(*model, *tokenizer_, *text_,
                      {.tokens = 200, .lags = false, .context = false}))["layers"][0]["gate"];
  };
  const json silu = gate("silu");
  const json sigmoid = gate("sigmoid");
  EXPECT_NEAR(silu["mean"], sigmoid["mean"], 1e-12);
  EXPECT_EQ(silu["histogram"], sigmoid["histogram"]);
}

TEST_F(Inspect, CellsShowTheirGates) {
  const auto layer = [&](const std::string& arch) {
    ModelConfig config = test::with_arch(this->config("", ""), arch);
    auto& shape = config.shape<RecurrentShape>();
    shape.depth = 2;
    shape.hidden = 10;
    if (arch == "rnn") shape.unit = "relu";
    shape.forget_bias = 6;
    const auto model = make_model(config, 3);
    const json got = as_json(inspect_model(*model, *tokenizer_, *text_,
                                           {.tokens = 200, .lags = false, .context = false}));
    EXPECT_EQ(got["layers"].size(), 2U);
    return got["layers"][1];
  };
  const json lstm = layer("lstm");
  ASSERT_EQ(lstm["gates"].size(), 3U);
  EXPECT_EQ(lstm["unit"], "lstm");
  EXPECT_EQ(lstm["gate"]["of"], "forget");
  EXPECT_GT(lstm["gate"]["mean"], 0.99);  // σ(6 + little)
  EXPECT_GT(lstm["gate"]["saturated_share"], 0.99);
  EXPECT_NEAR(lstm["gates"][0]["mean"], 0.5, 0.1);
  EXPECT_GT(lstm["gradient"]["norm"], 0);
  EXPECT_TRUE(lstm["gradient"]["linear_gain"].is_null());
  const json gru = layer("gru");
  EXPECT_EQ(gru["gate"]["of"], "update");
  EXPECT_EQ(gru["gates"].size(), 2U);
  const json rnn = layer("rnn");
  EXPECT_TRUE(rnn["gate"].is_null());
  EXPECT_FALSE(rnn.contains("gates"));
}

TEST_F(Inspect, LossIsThatOfEvaluation) {
  const auto model = make_model(config("[(12,3),(12,3,1)]", "glu"), 3);
  const json got = as_json(
      inspect_model(*model, *tokenizer_, *text_,
                    {.tokens = text_->size(), .lags = false, .context = false, .surprisals = 800}));
  const EvalResult result = evaluate(*FrozenModel::freeze(*model), *text_);
  EXPECT_NEAR(got["loss"], result.nll / static_cast<double>(result.tokens), 1e-5);
  EXPECT_EQ(got["surprisal"].size(), 800U);
  for (const Parameter& each : model->parameters()) EXPECT_FALSE(each.variable.grad().defined());
}

TEST_F(Inspect, WritesItsFiles) {
  const auto model = make_model(config("[(8,2)]", "glu"), 3);
  const Inspection found = inspect_model(
      *model, *tokenizer_, *text_,
      {.tokens = 100, .most_lag = 5, .most_context = 8, .surprisals = 7, .file = "some.txt"});
  write_inspection(directory_, found);
  const std::string text = read_file(directory_ / "inspect.json");
  EXPECT_EQ(inspection_json(parse_inspection(text, "inspect.json")), text);
  const json read = json::parse(text);
  EXPECT_EQ(read, as_json(found));
  EXPECT_EQ(read["format_version"], 2);
  EXPECT_EQ(read["text"]["file"], "some.txt");
  EXPECT_EQ(read["text"]["tokens"], text_->size());
  EXPECT_EQ(read["model"]["config"]["unit"], "glu");
  EXPECT_EQ(read["model"]["receptive_field"], 2);
  EXPECT_EQ(read["lags"]["k"], (std::vector<int>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(read["context"]["tokens"], (std::vector<int>{1, 2, 4, 8}));
  EXPECT_EQ(read["surprisal"].size(), 7U);
  const auto lines = [&](const char* name) {
    const std::string rows = read_file(directory_ / name);
    return std::count(rows.begin(), rows.end(), '\n');
  };
  EXPECT_EQ(lines("layers.csv"), 2);
  EXPECT_EQ(lines("lags.csv"), 7);
  EXPECT_EQ(lines("context.csv"), 5);
  EXPECT_EQ(lines("surprisal.csv"), 8);
  const std::string table = format_inspection(found);
  for (const char* part : {"layers.0", "lag", "perplexity", "1 layer of glu"}) {
    EXPECT_NE(table.find(part), std::string::npos) << table;
  }
}

TEST_F(Inspect, RefusesInOneSentence) {
  const auto model = make_model(config("[(8,2)]", "glu"), 3);
  EXPECT_THROW(inspect_model(*model, *tokenizer_, *text_, {.tokens = 0}), UsageError);
  const TokenShards empty({}, tokenizer_->eos(), tokenizer_->size());
  EXPECT_THROW(inspect_model(*model, *tokenizer_, empty), Error);
  const TokenShards other({0, 1}, tokenizer_->eos(), tokenizer_->size() + 1);
  EXPECT_THROW(inspect_model(*model, *tokenizer_, other), Error);
}

TEST_F(Inspect, AcceptsTextsOfAFewTokens) {
  const auto model = make_model(config("[(8,2)]", "glu"), 3);
  for (std::int64_t tokens = 1; tokens < 12; ++tokens) {
    std::vector<TokenId> ids(static_cast<std::size_t>(tokens));
    text_->read(0, tokens, ids.data());
    const TokenShards part(ids, tokenizer_->eos(), tokenizer_->size());
    const json got = as_json(inspect_model(*model, *tokenizer_, part));
    EXPECT_EQ(got["probed_tokens"], tokens);
    EXPECT_GE(got["lags"]["norm"].size(), 1U);
    EXPECT_GE(got["context"]["loss"].size(), 1U);
    EXPECT_GT(got["lags"]["norm"][0], 0);
  }
}

}  // namespace
}  // namespace sluice::lab_test
