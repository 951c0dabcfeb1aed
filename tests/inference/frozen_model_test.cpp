#include "sluice/inference/frozen_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <thread>

#include "sluice/base/error.hpp"
#include "sluice/inference/session.hpp"
#include "support.hpp"
#include "support/allocations.hpp"
#include "support/model_configs.hpp"
#include "support/ngram_architecture.hpp"

namespace sluice {
namespace {

using testing_support::random_ids;

constexpr std::int64_t vocabulary = 30;

/// A model to test, by name.
struct Case {
  std::string name;
  ModelConfig config;
};

std::ostream& operator<<(std::ostream& out, const Case& each) { return out << each.name; }

ModelConfig base_config(const std::string& arch) {
  ModelConfig config(arch);
  config.vocabulary = vocabulary;
  config.dim = 16;
  config.dropout = 0.5F;  // never applied by what is frozen
  config.cutoffs = {8, 17};
  config.norm = "none";
  return config;
}

Case gcnn(const std::string& name, const std::string& unit, const std::string& norm) {
  Case made{name, base_config("gcnn")};
  made.config.shape<GcnnShape>().layers =
      parse_layers("[(16,4)] + [(8,1,0),(8,5,0),(16,1,3)] + [(24,3),(16,9,2)]");
  made.config.shape<GcnnShape>().unit = unit;
  made.config.norm = norm;
  made.config.groups = 4;
  return made;
}

Case recurrent(const std::string& name, const std::string& arch) {
  Case made{name, base_config(arch)};
  made.config.shape<RecurrentShape>().depth = 2;
  made.config.shape<RecurrentShape>().hidden = 16;
  return made;
}

Case transformer(const std::string& positions) {
  Case made{"transformer_" + positions, base_config("transformer")};
  made.config.norm = "rms";
  made.config.shape<TransformerShape>() = {.depth = 2,
                                           .heads = 2,
                                           .window = 7,
                                           .positions = positions,
                                           .ffn = "swiglu",
                                           .ffn_width = 24};
  return made;
}

/// An architecture without a frozen form of its own.
Case ngram() {
  Case made{"ngram", base_config("ngram")};
  made.config.shape<test::NgramShape>() = {.order = 3, .hidden = 16};
  return made;
}

std::vector<Case> cases() {
  std::vector<Case> all = {gcnn("gcnn", "glu", "weight"),
                           gcnn("gcnn_layer", "swiglu", "layer"),
                           gcnn("gcnn_batch_prelu", "prelu", "batch"),
                           gcnn("gcnn_group_maxout", "maxout", "group"),
                           transformer("rotary"),
                           transformer("learned"),
                           transformer("none"),
                           ngram()};
  for (const char* arch : {"rnn", "lstm", "gru", "indrnn", "mut1"}) {
    all.push_back(recurrent(arch, arch));
  }
  all.push_back(recurrent("gru_before", "gru"));
  all.back().config.shape<RecurrentShape>().reset = "before";
  all.push_back(recurrent("lstm_less", "lstm"));
  all.back().config.shape<RecurrentShape>().removed_gates = {"forget"};
  all.back().config.shape<RecurrentShape>().residual = true;
  all.back().config.shape<RecurrentShape>().variational = true;
  all.back().config.norm = "layer";
  all.push_back(gcnn("gcnn_projection", "glu", "weight"));
  all.back().config.shape<GcnnShape>().input_projection = true;
  // The narrow softmaxes in turn.
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i % 2 == 1) {
      all[i].config.softmax = "full";
      all[i].config.cutoffs.clear();
    }
    if (i % 4 >= 2) all[i].config.tie = true;
  }
  return all;
}

/// Hidden rows of the whole text by the model's own forward pass.
Tensor model_hidden(LanguageModel& model, const std::vector<std::int32_t>& ids,
                    Precision precision = Precision::f32) {
  const NoGrad no_grad;
  ModelState state;
  return model
      .hidden(ids, 1, static_cast<std::int64_t>(ids.size()), state, {.precision = precision})
      .value();
}

/// One text's hidden rows, read in parts of the given lengths, the last repeated.
Tensor read_in_parts(const FrozenModel& model, const std::vector<std::int32_t>& ids,
                     const std::vector<std::size_t>& parts) {
  StackState state;
  StackState* const states[] = {&state};
  std::vector<Tensor> out;
  std::int64_t width = 0;
  std::size_t part = 0;
  for (std::size_t at = 0; at < ids.size(); ++part) {
    const std::size_t count = std::min(parts[std::min(part, parts.size() - 1)], ids.size() - at);
    const std::int64_t lengths[] = {static_cast<std::int64_t>(count)};
    out.push_back(model.hidden(std::span(ids).subspan(at, count), PackedRows(lengths), states));
    width = out.back().dim(1);
    at += count;
  }
  Tensor all(Shape{static_cast<std::int64_t>(ids.size()), width});
  std::int64_t row = 0;
  for (const Tensor& each : out) {
    all.rows(row, row + each.dim(0)).copy_from(each);
    row += each.dim(0);
  }
  EXPECT_EQ(state.position, row);
  return all;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double most = 0;
  for (std::int64_t i = 0; i < a.elements(); ++i) {
    const double x = a.data<float>()[i], y = b.data<float>()[i];
    most = std::max(most, std::abs(x - y) / (1 + std::abs(y)));
  }
  return most;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

class Frozen : public testing::TestWithParam<Case> {
 protected:
  Frozen() : model_(make_model(GetParam().config, 5)), frozen_(FrozenModel::freeze(*model_)) {}

  std::unique_ptr<LanguageModel> model_;
  std::shared_ptr<const FrozenModel> frozen_;
};

// float32 sums in another order: relative to 1 + |value|.
constexpr double rounding = 2e-5;

TEST_P(Frozen, ReadsAsTheModelDoesHoweverTheTextIsCut) {
  const auto ids = random_ids(150, vocabulary);
  const Tensor expected = model_hidden(*model_, ids);
  EXPECT_LT(largest_difference(read_in_parts(*frozen_, ids, {ids.size()}), expected), rounding);
  EXPECT_LT(largest_difference(read_in_parts(*frozen_, ids, {1}), expected), rounding);
  EXPECT_LT(largest_difference(read_in_parts(*frozen_, ids, {2, 1, 70, 3}), expected), rounding);
  EXPECT_EQ(frozen_->receptive_field(), model_->receptive_field());
}

TEST_P(Frozen, LossesAndDistributionsAreTheModels) {
  const auto ids = random_ids(40, vocabulary);
  const auto targets = random_ids(40, vocabulary, 2);
  const Tensor hidden = model_hidden(*model_, ids);
  Tensor expected;
  {
    const NoGrad no_grad;
    model_->loss(Variable(hidden), targets, {}, &expected);
  }
  const std::vector<double> nll = frozen_->nll(hidden, targets);
  const Tensor logs = frozen_->log_probabilities(hidden);
  EXPECT_EQ(logs.shape(), (Shape{40, vocabulary}));
  for (std::size_t i = 0; i < nll.size(); ++i) {
    EXPECT_NEAR(nll[i], static_cast<double>(expected.data<float>()[i]), 1e-5);
    const float* const row = logs.data<float>() + static_cast<std::int64_t>(i) * vocabulary;
    EXPECT_NEAR(row[targets[i]], -nll[i], 1e-5);
    double sum = 0;
    for (std::int64_t v = 0; v < vocabulary; ++v) sum += std::exp(static_cast<double>(row[v]));
    EXPECT_NEAR(sum, 1, 1e-5);
  }
}

// Many texts side by side, each at its own length, some of them resting at times.
TEST_P(Frozen, TextsInABatchAreIndependent) {
  constexpr std::size_t texts = 5;
  const std::size_t steps[][texts] = {
      {1, 7, 0, 20, 3}, {1, 1, 1, 1, 1}, {0, 64, 5, 1, 2}, {9, 0, 1, 0, 1}, {1, 1, 0, 1, 1}};
  std::vector<Session> sessions(texts, frozen_->session());
  std::vector<Session*> places;
  for (Session& session : sessions) places.push_back(&session);
  std::vector<std::vector<std::int32_t>> text;
  for (std::size_t i = 0; i < texts; ++i) text.push_back(random_ids(200, vocabulary, 10 + i));
  for (const auto& step : steps) {
    std::vector<std::span<const std::int32_t>> ids;
    for (std::size_t i = 0; i < texts; ++i) {
      ids.push_back(
          std::span(text[i]).subspan(static_cast<std::size_t>(sessions[i].position()), step[i]));
    }
    Session::step(places, ids);
    for (std::size_t i = 0; i < texts; ++i) {
      const auto read = static_cast<std::size_t>(sessions[i].position());
      if (read == 0) continue;
      const Tensor alone = model_hidden(
          *model_, {text[i].begin(), text[i].begin() + static_cast<std::ptrdiff_t>(read)});
      const auto rows = static_cast<std::int64_t>(read);
      EXPECT_LT(largest_difference(sessions[i].hidden(), alone.rows(rows - 1, rows)), rounding)
          << "text " << i << " after " << read;
    }
  }
}

TEST_P(Frozen, CopiesOfASessionGoTheirOwnWay) {
  const auto ids = random_ids(30, vocabulary);
  Session first = frozen_->session();
  first.feed(ids);
  Session second = first;
  const Tensor before = first.log_probabilities();
  second.feed(3);
  second.feed(random_ids(9, vocabulary, 4));
  EXPECT_TRUE(same_bits(first.log_probabilities(), before));
  Session again = first;
  again.feed(3);
  again.feed(random_ids(9, vocabulary, 4));
  EXPECT_TRUE(same_bits(again.log_probabilities(), second.log_probabilities()));
  first.feed(5);
  EXPECT_EQ(first.position(), 31);
  EXPECT_EQ(second.position(), 40);
}

/// What eight threads are to agree on: a text in parts, and two sessions at different lengths.
std::vector<Tensor> work(const FrozenModel& model) {
  std::vector<Tensor> results;
  const auto ids = random_ids(200, vocabulary);
  results.push_back(read_in_parts(model, ids, {90, 1, 1, 30}));
  results.push_back(model.log_probabilities(results[0]));
  Session one = model.session(), two = model.session();
  const auto tokens = std::span(ids);
  one.feed(tokens.subspan(0, 11));
  for (std::size_t i = 0; i < 5; ++i) {
    Session* const both[] = {&one, &two};
    const std::span<const std::int32_t> next[] = {tokens.subspan(20 + i, 1),
                                                  tokens.subspan(40 + 3 * i, 3)};
    Session::step(both, next);
    results.push_back(one.log_probabilities());
    results.push_back(two.log_probabilities());
  }
  return results;
}

TEST_P(Frozen, EightThreadsGetTheBitsOfOne) {
  const std::vector<Tensor> expected = work(*FrozenModel::freeze(*model_));
  std::vector<std::vector<Tensor>> found(8);
  std::vector<std::thread> threads;
  for (auto& each : found) threads.emplace_back([&each, this] { each = work(*frozen_); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& each : found) {
    ASSERT_EQ(each.size(), expected.size());
    for (std::size_t i = 0; i < each.size(); ++i) EXPECT_TRUE(same_bits(each[i], expected[i])) << i;
  }
}

TEST_P(Frozen, ASecondSessionCostsItsStateAlone) {
  const auto ids = random_ids(60, vocabulary);
  Session first = frozen_->session();
  first.feed(ids);
  const std::size_t before = allocator_stats().bytes_in_use;
  Session second = frozen_->session();
  second.feed(ids);
  const std::size_t used = allocator_stats().bytes_in_use - before;
  EXPECT_GE(used, second.bytes());
  // Buffers come in sizes of 64 bytes, larger ones in eighths of a power of two.
  EXPECT_LE(used, second.bytes() * 9 / 8 + 64 * 16);
  const std::size_t with_two = allocator_stats().bytes_in_use;
  const Session copy = second;
  EXPECT_EQ(allocator_stats().bytes_in_use, with_two);
}

TEST_P(Frozen, DoesNotSeeWhatBecomesOfTheModel) {
  const auto ids = random_ids(20, vocabulary);
  const Tensor before = read_in_parts(*frozen_, ids, {20});
  std::vector<Tensor> weights;
  for (const Parameter& parameter : model_->parameters()) {
    weights.push_back(parameter.variable.value().clone());
  }
  const Tensor logs = frozen_->log_probabilities(before);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    EXPECT_TRUE(same_bits(model_->parameters()[i].variable.value(), weights[i]));
    for (float& value : model_->parameters()[i].variable.value().span<float>()) value += 0.25F;
  }
  EXPECT_TRUE(same_bits(read_in_parts(*frozen_, ids, {20}), before));
  EXPECT_TRUE(same_bits(frozen_->log_probabilities(before), logs));
  EXPECT_FALSE(same_bits(read_in_parts(*FrozenModel::freeze(*model_), ids, {20}), before));
}

// A model that is given up is not copied and reads the same.
TEST_P(Frozen, OfAModelGivenUpReadsTheSame) {
  const auto ids = random_ids(20, vocabulary);
  const Tensor expected = read_in_parts(*frozen_, ids, {3, 9});
  const auto taken = FrozenModel::freeze(make_model(GetParam().config, 5));
  EXPECT_TRUE(same_bits(read_in_parts(*taken, ids, {3, 9}), expected));
}

TEST_P(Frozen, BfloatRoundsOperandsOnce) {
  if (!has_bfloat16_gemm()) GTEST_SKIP() << "this CPU has no bfloat16 products";
  const auto ids = random_ids(60, vocabulary);
  const auto narrow = FrozenModel::freeze(*model_, {.precision = WeightPrecision::bf16});
  const Tensor expected = model_hidden(*model_, ids, Precision::bf16);
  const Tensor found = read_in_parts(*narrow, ids, {60});
  // Sums in another order, of products of the same rounded operands; a value whose rounding tips
  // over differs by 2^-8 of itself, and so do those that depend on it.
  EXPECT_LT(largest_difference(found, expected), 3e-2);
  EXPECT_GT(largest_difference(found, model_hidden(*model_, ids)), 1e-5);
  EXPECT_LT(largest_difference(read_in_parts(*narrow, ids, {1}), expected), 4e-2);
}

INSTANTIATE_TEST_SUITE_P(EveryArchitecture, Frozen, testing::ValuesIn(cases()),
                         [](const auto& each) { return each.param.name; });

TEST(FrozenModel, EveryArchitectureIsTested) {
  for (const std::string& arch : architecture_names()) {
    const auto all = cases();
    EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const Case& each) {
      return each.config.arch() == arch;
    })) << arch;
  }
}

TEST(FrozenModel, BadRequestsAreRefused) {
  const auto small = testing_support::model("[(8,3)]", vocabulary);
  const auto model = FrozenModel::freeze(*small);
  StackState state;
  StackState* const states[] = {&state};
  const std::vector<std::int32_t> ids = {1, 2, 3};
  const std::int64_t two[] = {2}, none[] = {0};
  EXPECT_THROW(model->hidden(ids, PackedRows(two), states), Error);
  EXPECT_THROW(model->hidden({}, PackedRows(none), states), Error);
  EXPECT_THROW(model->hidden(std::span(ids).first(2), PackedRows(two), {}), Error);
  const std::vector<std::int32_t> foreign = {1, static_cast<std::int32_t>(vocabulary)};
  EXPECT_THROW(model->hidden(foreign, PackedRows(two), states), Error);
  EXPECT_TRUE(state.tensors.empty());
  const Tensor hidden = model->hidden(std::span(ids).first(2), PackedRows(two), states);
  EXPECT_THROW(model->nll(hidden, ids), Error);
  EXPECT_THROW(model->nll(hidden, foreign), Error);
  EXPECT_THROW(model->log_probabilities(Tensor::zeros(Shape{1, 9})), Error);
  EXPECT_THROW(FrozenModel::freeze(*make_model(small->config(), 1, DType::f64)), Error);
  const auto wide = testing_support::model("[(8,9)]", vocabulary);
  EXPECT_THROW(FrozenModel::freeze(*wide, {.conv = ConvPath::fast}), UsageError);
}

TEST(FrozenModel, ConvolutionPathsAgree) {
  const auto lm = testing_support::model("[(64,4)]*3", vocabulary, {}, 64);
  const auto ids = random_ids(300, vocabulary);
  const Tensor direct =
      read_in_parts(*FrozenModel::freeze(*lm, {.conv = ConvPath::direct}), ids, {300});
  const Tensor fast =
      read_in_parts(*FrozenModel::freeze(*lm, {.conv = ConvPath::fast}), ids, {300});
  const Tensor chosen = read_in_parts(*FrozenModel::freeze(*lm), ids, {300});
  EXPECT_LT(largest_difference(fast, direct), 1e-4);
  EXPECT_FALSE(same_bits(fast, direct));
  EXPECT_TRUE(same_bits(chosen, fast));
}

}  // namespace
}  // namespace sluice
