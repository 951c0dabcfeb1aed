// Random small models of every architecture and option, trained for a few steps: what can be
// computed in two ways is computed in both. SLUICE_EXHAUSTIVE tries a hundred times as many;
// SLUICE_SEED=N begins at the N-th, which a failure names.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <span>
#include <string>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/session.hpp"
#include "sluice/nn/unit_layer.hpp"
#include "sluice/text/labels.hpp"
#include "sluice/training/metrics.hpp"
#include "support/model_configs.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

/// Throws of dice, the same for the same seed.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : key_{.seed = seed, .stream = 3, .step = 0} {}

  /// In [least, most].
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(key_.bits(thrown_++) %
                                             static_cast<std::uint64_t>(most - least + 1));
  }
  bool once_in(std::int64_t n) { return between(1, n) == 1; }
  template <class Choices>
  auto one_of(const Choices& choices) {
    return choices[static_cast<std::size_t>(
        between(0, static_cast<std::int64_t>(std::size(choices)) - 1))];
  }

 private:
  RandomKey key_;
  std::uint64_t thrown_ = 0;
};

std::string random_layers(Dice& dice) {
  std::string layers;
  const std::int64_t blocks = dice.between(1, 3);
  for (std::int64_t block = 0; block < blocks; ++block) {
    if (block > 0) layers += " + ";
    const std::string width = std::to_string(2 * dice.between(2, 6));
    const std::string kernel = std::to_string(dice.between(1, 6));
    layers += dice.once_in(3) ? "[(4,1,0),(4," + kernel + ",0),(" + width + ",1,3)]"
                              : "[(" + width + "," + kernel + (dice.once_in(2) ? ")]" : ",0)]");
    if (dice.once_in(3)) layers += "*2";
  }
  return layers;
}

std::string random_unit(Dice& dice) {
  return dice.once_in(6) ? "leaky_relu(0.2)(a)*b" : dice.one_of(model_unit_names());
}

void choose_shape(ModelConfig& config, Dice& dice) {
  if (config.arch() == "gcnn") {
    auto& shape = config.shape<GcnnShape>();
    shape.layers = parse_layers(random_layers(dice));
    shape.unit = random_unit(dice);
    shape.input_projection = dice.once_in(4);
  } else if (config.arch() == "transformer") {
    constexpr const char* positions[] = {"rotary", "learned", "none"};
    config.shape<TransformerShape>() = {.depth = dice.between(1, 2),
                                        .heads = dice.between(1, 2),
                                        .window = dice.between(1, 14),
                                        .positions = dice.one_of(positions),
                                        .ffn = random_unit(dice),
                                        .ffn_width = 2 * dice.between(1, 8)};
  } else {
    auto& shape = config.shape<RecurrentShape>();
    shape.depth = dice.between(1, 3);
    shape.hidden = dice.between(1, 20);
    if (config.arch() == "rnn" && dice.once_in(2)) shape.unit = "relu";
    if (config.arch() == "gru" && dice.once_in(2)) shape.reset = "before";
    if (config.arch() == "lstm" && dice.once_in(2)) shape.forget_bias = 0;
    if (config.arch() == "indrnn" && dice.once_in(2)) shape.bound = 0.8F;
    if (config.arch() == "lstm" && dice.once_in(3)) {
      constexpr const char* gates[] = {"input", "forget", "output"};
      shape.removed_gates = {dice.one_of(gates)};
    }
    shape.residual = dice.once_in(2);
    shape.variational = dice.once_in(3);
  }
}

ModelConfig random_model(Dice& dice) {
  ModelConfig config(dice.one_of(architecture_names()));
  config.vocabulary = vocabulary;
  config.dim = 4 * dice.between(1, 4);
  config.groups = 2;
  config.dropout = dice.once_in(2) ? 0.3F : 0;
  config.softmax = dice.once_in(2) ? "adaptive" : "full";
  if (config.softmax == "adaptive") {
    config.cutoffs = {dice.between(2, 10)};
    if (dice.once_in(2)) config.cutoffs.push_back(dice.between(12, 20));
  }
  config.tie = dice.once_in(3);
  config.norm = dice.one_of(config.architecture().norms());
  if (dice.once_in(3)) {
    config.init = dice.one_of(init_names());
    config.init_scale = dice.once_in(2) ? 1 : 0.5F;
  }
  if (dice.once_in(3)) {
    config.labels = {"a", "b", "c"};
    config.label_dropout = dice.once_in(2) ? 0 : 0.3F;
  }
  choose_shape(config, dice);
  return config;
}

TrainConfig random_training(Dice& dice) {
  TrainConfig config;
  config.batch = dice.between(1, 5);
  config.context = dice.between(1, 12);
  config.accumulate = dice.once_in(3) ? dice.between(2, 3) : 1;
  config.optimizer.kind = dice.one_of(enum_names(OptimizerKind{}).values());
  config.optimizer.weight_decay = dice.once_in(2) ? 0.01 : 0;
  if (dice.once_in(4)) config.optimizer.keep = 0.1;
  if (dice.once_in(4)) config.optimizer.freeze = {dice.once_in(2) ? "embedding*" : "*bias"};
  if (dice.once_in(4)) config.optimizer.lr_scale = {"*weight*=0.5", "softmax*=0"};
  config.schedule.kind = dice.one_of(enum_names(ScheduleKind{}).values());
  config.schedule.lr = default_learning_rate(config.optimizer.kind) * 0.1;
  config.schedule.warmup = dice.between(0, 4);
  config.clip = dice.once_in(3) ? 0 : default_clip(config.optimizer.kind);
  config.steps = dice.between(4, 12);
  config.validate_every = dice.once_in(2) ? dice.between(1, 5) : 0;
  config.checkpoint_every = dice.once_in(2) ? dice.between(1, 5) : 0;
  config.patience = dice.once_in(4) ? dice.between(1, 3) : 0;
  config.log_every = dice.between(1, 5);
  config.carry = !dice.once_in(3);
  config.recompute = dice.once_in(3);
  config.conv = dice.one_of(enum_names(ConvPath{}).values());
  config.seed = static_cast<std::uint64_t>(dice.between(1, 1000));
  if (has_bfloat16_gemm() && dice.once_in(4)) config.precision = Precision::bf16;
  return config;
}

/// One of the random models with its training; what its fields exclude is thrown again.
struct Case {
  explicit Case(std::uint64_t seed) : dice(seed) {
    for (;;) {
      try {
        model = random_model(dice);
        training = random_training(dice);
        model.validate();
        training.validate();
        tiny_model(model);
        return;
      } catch (const UsageError&) {
      }
    }
  }
  std::string str() const {
    return json_text(write_model(model)) + "\n" + json_text(write_fields(field_parts(training)));
  }

  Dice dice;
  ModelConfig model;
  TrainConfig training;
};

/// tiny_tokens() with a label for each line of them where the model has labels.
TokenShards tokens_for(const ModelConfig& model, std::int64_t n, std::uint64_t seed) {
  TokenShards tokens = tiny_tokens(n, seed);
  if (model.labels.empty()) return tokens;
  std::vector<TokenId> ids(static_cast<std::size_t>(n));
  tokens.read(0, n, ids.data());
  ids.back() = tokens.eos();
  const TokenShards whole(ids, tokens.eos(), vocabulary);
  std::vector<std::int32_t> lines;
  const auto names = static_cast<std::int32_t>(model.labels.size());
  for (std::int64_t line = 0; line < whole.info().lines; ++line) {
    lines.push_back(static_cast<std::int32_t>(line) % (names + 1));
  }
  return whole.labelled(std::make_shared<const TokenLabels>(whole, lines));
}

TrainResult trained(const Directory& directory, const Case& each,
                    const TrainOptions& options = {}) {
  const auto model = tiny_model(each.model);
  const TokenShards valid = tokens_for(each.model, 100, 2);
  return train(*model, tokens_for(each.model, 330, 1), &valid, each.training, directory.path(),
               options);
}

template <class Property>
void for_random_cases(std::uint64_t count, const Property& property) {
  if (std::getenv("SLUICE_EXHAUSTIVE") != nullptr) count *= 100;
  const char* const first = std::getenv("SLUICE_SEED");
  const std::uint64_t begin = first != nullptr ? std::strtoull(first, nullptr, 10) : 1;
  for (std::uint64_t seed = begin; seed < begin + count; ++seed) {
    Case each(seed);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + each.str());
    property(each);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Differential, ResumedRunsEqualUninterruptedOnes) {
  for_random_cases(30, [](Case& each) {
    const Directory whole;
    trained(whole, each);
    const Directory parts;
    const std::int64_t first = each.dice.between(1, each.training.steps - 1);
    StopAt stopper(first);
    ASSERT_EQ(trained(parts, each, stopper.options).step, first);
    TrainOptions options;
    options.resume = true;
    each.training.recompute = !each.training.recompute;  // changes no result
    trained(parts, each, options);
    expect_same_run(whole.path(), parts.path());
  });
}

/// Largest difference of elements, relative to 1 + |element|.
double difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double most = 0;
  for (std::int64_t i = 0; i < a.elements(); ++i) {
    const double x = a.data<float>()[i], y = b.data<float>()[i];
    most = std::max(most, std::abs(x - y) / (1 + std::abs(y)));
  }
  return most;
}

// Rounding, enlarged by norms of rows whose variance is nearly 0: 2e-4 in 10,000 models.
constexpr double of_rounding = 1e-3;

TEST(Differential, StreamingEqualsTheWholeText) {
  for_random_cases(100, [](Case& each) {
    const auto model = tiny_model(each.model);
    // Labels add nothing before they are learned.
    std::uint32_t stream = 0;
    for (const Parameter& parameter : model->parameters()) {
      if (parameter.name.find("condition") == std::string::npos) continue;
      const RandomKey key{9, stream++, 0};
      const Tensor& value = parameter.variable.value();
      for (std::int64_t i = 0; i < value.elements(); ++i) {
        value.data<float>()[i] = key.uniform(static_cast<std::uint64_t>(i)) - 0.5F;
      }
    }
    const TokenShards tokens = tiny_tokens(60, 4);
    std::vector<TokenId> ids(60);
    tokens.read(0, 60, ids.data());
    const auto names = static_cast<std::int64_t>(each.model.labels.size());
    const auto label = static_cast<std::int32_t>(each.dice.between(0, names));
    // By the training's own operators, by the frozen form at once, and in parts beside others.
    Tensor expected;
    {
      const NoGrad no_grad;
      ModelState state;
      const ForwardOptions options{.conv = each.training.conv, .labels = {.all = label}};
      expected = model->hidden(ids, 1, 60, state, options).value();
    }
    const auto frozen = FrozenModel::freeze(*model)->conditioned(label);
    std::vector<Session> sessions(3, frozen->session());
    Session* const all[] = {&sessions[0], &sessions[1], &sessions[2]};
    const std::span<const TokenId> text(ids);
    while (sessions[0].position() < 60) {
      std::vector<std::span<const TokenId>> parts;
      for (const Session& session : sessions) {
        const std::int64_t left = 60 - session.position();
        parts.push_back(
            text.subspan(static_cast<std::size_t>(session.position()),
                         static_cast<std::size_t>(
                             std::min(left, each.dice.between(0, each.dice.once_in(3) ? 30 : 2)))));
      }
      Session::step(all, parts);
      for (const Session& session : sessions) {
        const std::int64_t read = session.position();
        if (read == 0) continue;
        ASSERT_LT(difference(session.hidden(), expected.rows(read - 1, read)), of_rounding) << read;
      }
    }
    Session at_once = frozen->session();
    at_once.feed(ids);
    ASSERT_LT(difference(at_once.hidden(), expected.rows(59, 60)), of_rounding);
    const Tensor logs = at_once.log_probabilities();
    double sum = 0;
    for (std::int64_t v = 0; v < vocabulary; ++v) sum += std::exp(logs.data<float>()[v]);
    ASSERT_NEAR(sum, 1, 1e-5);
  });
}

TEST(Differential, ManyThreadsLearnWhatOneDoes) {
  for_random_cases(30, [](Case& each) {
    each.training.steps = 2;
    each.training.log_every = 1;
    each.training.validate_every = 0;
    const Directory one, many;
    trained(one, each);
    {
      const ThreadCount three(3);
      trained(many, each);
    }
    const Metrics left = read_metrics(one / "metrics.jsonl"),
                  right = read_metrics(many / "metrics.jsonl");
    ASSERT_EQ(left.train.size(), 2U);
    ASSERT_EQ(right.train.size(), 2U);
    const double rounding = each.training.precision == Precision::bf16 ? 2e-2 : 1e-4;
    for (std::size_t i = 0; i < 2; ++i) {
      const TrainLine &a = left.train[i], &b = right.train[i];
      EXPECT_NEAR(a.loss, b.loss, rounding * (1 + std::abs(a.loss)));
      EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 10 * rounding * (1e-3 + a.gradient_norm));
    }
  });
}

}  // namespace
}  // namespace sluice::training_test
