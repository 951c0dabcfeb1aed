// Micro-batches: their gradients make one update as those of one large batch do, in an order that
// no division changes.
#include <gtest/gtest.h>

#include <cmath>

#include "loop.hpp"
#include "micro_sums.hpp"
#include "sluice/base/error.hpp"
#include "training/shapes.hpp"
#include "validator.hpp"

namespace sluice::training_test {
namespace {

constexpr std::int64_t columns = 4;

/// Micro-batch `micro`'s part of a gradient [6, 4]: dense, sparse or none, by turns of `kinds`.
void fill(GradientSlot& slot, std::int64_t micro, const std::string& kinds) {
  const RandomKey key{.seed = 3, .stream = 1, .step = static_cast<std::uint32_t>(micro)};
  const char kind = kinds[static_cast<std::size_t>(micro) % kinds.size()];
  if (kind == '-') return;
  SparseRows rows{{0, 1, 2, 3, 4, 5}, {}};
  if (kind == 's') {
    rows.ids = {static_cast<std::int32_t>(micro % 3), static_cast<std::int32_t>(3 + micro % 2)};
  }
  const auto n = static_cast<std::int64_t>(rows.ids.size()) * columns;
  rows.rows = Tensor(Shape{n / columns, columns});
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t bits = key.bits(static_cast<std::uint64_t>(i));
    rows.rows.data<float>()[i] = std::ldexp(static_cast<float>(bits % 2000) - 1000.5F,
                                            static_cast<int>(bits >> 16U) % 40 - 20);
  }
  if (kind == 's') {
    slot.accumulate(std::move(rows), 5.0);
  } else {
    slot.accumulate(std::move(rows.rows), 5.0);
  }
}

std::vector<float> values(GradientSlot& slot) {
  if (!slot.defined()) return {};
  const auto all = slot.dense().span<float>();
  return {all.begin(), all.end()};
}

MicroSum new_sum() { return {Shape{6, columns}, DType::f32}; }

/// The nodes of the micro-batches [begin, end).
MicroSum part_of(std::int64_t begin, std::int64_t end, const std::string& kinds) {
  MicroSum sum = new_sum();
  for (std::int64_t micro = begin; micro < end; ++micro) {
    GradientSlot slot(Shape{6, columns}, DType::f32);
    fill(slot, micro, kinds);
    sum.add(micro, slot);
    EXPECT_FALSE(slot.defined());
    if (begin == 0) {
      EXPECT_LE(static_cast<int>(sum.nodes().size()), MicroSum::most_kept(micro + 1) + 1);
    }
  }
  return sum;
}

std::vector<float> total_of(MicroSum sum) {
  GradientSlot total(Shape{6, columns}, DType::f32);
  sum.finish(total);
  EXPECT_FALSE(total.squares()) << "who has a sum of squares depends on the division";
  EXPECT_TRUE(sum.nodes().empty());
  return values(total);
}

TEST(MicroSum, EveryDivisionIntoRunsHasTheSameBits) {
  for (const std::string kinds : {"d", "s", "sd", "-d", "-s-d", "ds-", "-"}) {
    for (std::int64_t n = 1; n <= 13; ++n) {
      SCOPED_TRACE(kinds + " " + std::to_string(n));
      const std::vector<float> whole = total_of(part_of(0, n, kinds));
      for (std::int64_t a = 1; a < n; ++a) {
        for (std::int64_t b = a; b < n; ++b) {
          MicroSum joined = new_sum();
          const std::pair<std::int64_t, std::int64_t> runs[] = {{0, a}, {a, b}, {b, n}};
          for (const auto& [begin, end] : runs) {
            const MicroSum part = part_of(begin, end, kinds);
            for (const SumNode& node : part.nodes()) joined.push(node);
          }
          ASSERT_EQ(total_of(std::move(joined)), whole) << a << " " << b;
        }
      }
    }
  }
}

TEST(MicroSum, AddsPairsThenWhatIsLeftFromTheLast) {
  const auto of = [](std::int64_t micro) {
    GradientSlot slot(Shape{6, columns}, DType::f32);
    fill(slot, micro, "d");
    return values(slot);
  };
  const auto sum = [](std::vector<float> a, const std::vector<float>& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
  };
  const auto four = sum(sum(of(0), of(1)), sum(of(2), of(3)));
  EXPECT_EQ(total_of(part_of(0, 7, "d")), sum(four, sum(sum(of(4), of(5)), of(6))));
}

TrainConfig accumulating(std::int64_t batch, std::int64_t accumulate,
                         OptimizerKind optimizer = OptimizerKind::adamw) {
  TrainConfig config = tiny_training(optimizer);
  config.batch = batch;
  config.accumulate = accumulate;
  return config;
}

ModelConfig without_dropout() {
  ModelConfig config = tiny_config();
  config.dropout = 0;
  return config;
}

/// The same but for rounding: means over parts of means over tokens.
void expect_one_large_batch(OptimizerKind optimizer) {
  const TokenShards text = tiny_tokens(330, 1);
  const auto model = tiny_model(without_dropout());
  const auto other = tiny_model(without_dropout());
  const TrainConfig large = accumulating(4, 1, optimizer), parts = accumulating(1, 4, optimizer);
  Loop loop(*model, text, large), accumulate(*other, text, parts);
  EXPECT_EQ(loop.steps_per_epoch(), accumulate.steps_per_epoch());
  EXPECT_EQ(loop.tokens_per_step(), accumulate.tokens_per_step());
  for (std::int64_t step = 0; step < 12; ++step) {
    const Loop::Update expected = loop.step(step, 0.01), got = accumulate.step(step, 0.01);
    EXPECT_NEAR(got.loss, expected.loss, 2e-5 * expected.loss) << step;
    EXPECT_NEAR(got.norm, expected.norm, 2e-4 * expected.norm) << step;
  }
  const Parameters& a = model->parameters();
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = a[i].variable.value().span<float>();
    const auto y = other->parameters()[i].variable.value().span<float>();
    for (std::size_t j = 0; j < x.size(); ++j) EXPECT_NEAR(x[j], y[j], 2e-3) << a[i].name;
  }
}

// Adam forgives gradients a common factor, plain descent does not.
TEST(Accumulate, IsOneLargeBatch) {
  expect_one_large_batch(OptimizerKind::adamw);
  expect_one_large_batch(OptimizerKind::sgd);
}

/// Every micro-batch of a step reads the same and starts from nothing.
TEST(Accumulate, EveryMicroBatchHasMasksOfItsOwn) {
  const TokenShards text(std::vector<TokenId>(330, 3), 0, vocabulary);
  ModelConfig dropping = tiny_config();
  dropping.dropout = 0.5F;
  TrainConfig one = accumulating(1, 1), two = accumulating(1, 2);
  one.carry = two.carry = false;
  const auto loss_of = [&](const TrainConfig& config, std::int64_t step) {
    const auto model = tiny_model(dropping);
    return Loop(*model, text, config).step(step, 0).loss;
  };
  // Step 2 of two micro-batches has the masks of steps 4 and 5 of one.
  EXPECT_NE(loss_of(one, 4), loss_of(one, 5));
  EXPECT_EQ(loss_of(two, 2), (loss_of(one, 4) + loss_of(one, 5)) / 2);
}

using Kind = std::pair<const char*, const char*>;

class AccumulateArchitecture : public testing::TestWithParam<Kind> {};

INSTANTIATE_TEST_SUITE_P(All, AccumulateArchitecture,
                         testing::Values(Kind{"gcnn", "batch"}, Kind{"lstm", "batch"},
                                         Kind{"mut1", "none"}, Kind{"transformer", "layer"}),
                         [](const auto& each) {
                           return std::string(each.param.first) + "_" + each.param.second;
                         });

TEST_P(AccumulateArchitecture, ResumedEqualsTheUninterruptedRun) {
  const ModelConfig shape = tiny_shape(GetParam().first, GetParam().second);
  const TrainConfig config = accumulating(1, 3);
  expect_resumed_as_undisturbed(config, shape, 37);
}

TEST(Accumulate, StatisticsStartFromThoseBeforeTheStepAndAreAveraged) {
  const Variable running(Tensor::of(Shape{2}, std::span<const float>(std::vector{1.F, 8.F})));
  Parameter parameter;
  parameter.variable = running;
  StatisticsMean mean({parameter});
  const auto set = [&](float a, float b) {
    EXPECT_EQ(running.value().data<float>()[0], 1) << "what an earlier micro-batch left is undone";
    running.value().data<float>()[0] = a;
    running.value().data<float>()[1] = b;
  };
  mean.begin();
  set(2, 8);
  mean.add(0);
  set(4, 7);
  mean.add(1);
  mean.sum(0).finish(mean.total(0));
  mean.finish(2);
  EXPECT_EQ(running.value().data<float>()[0], 3);
  EXPECT_EQ(running.value().data<float>()[1], 7.5F);
}

// Of two micro-batches that are the same, the statistics are those of one.
TEST(Accumulate, RunningStatisticsMoveOnceAStep) {
  ModelConfig shape = without_dropout();
  shape.norm = "batch";
  const TokenShards text(std::vector<TokenId>(330, 3), 0, vocabulary);
  TrainConfig one = accumulating(1, 1), two = accumulating(1, 2);
  one.carry = two.carry = false;
  const auto a = tiny_model(shape), b = tiny_model(shape);
  Loop(*a, text, one).step(1, 0);
  Loop(*b, text, two).step(1, 0);
  std::int64_t compared = 0;
  for (std::size_t i = 0; i < a->parameters().size(); ++i) {
    if (a->parameters()[i].variable.requires_grad()) continue;
    const Tensor& x = a->parameters()[i].variable.value();
    const Tensor& y = b->parameters()[i].variable.value();
    EXPECT_EQ(std::memcmp(x.raw(), y.raw(), x.bytes()), 0) << a->parameters()[i].name;
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

// Every token is scored once, with what is before its part as context.
TEST(Accumulate, ValidationInPartsIsThatOfTheWhole) {
  const auto model = tiny_model();
  for (const std::int64_t size : {3, 100, 1000}) {
    const TokenShards text = tiny_tokens(size, 2);
    const auto loss = [&](std::int64_t parts) {
      const TrainConfig config = accumulating(1, parts);
      const auto found = Validator(*model, text, config).validate([](double) { return true; });
      EXPECT_EQ(found->tokens, size);
      return found->nll;
    };
    const double whole = loss(1);
    for (const std::int64_t parts : {2, 3, 7}) {
      EXPECT_NEAR(loss(parts), whole, 1e-6 * whole) << size << " in " << parts;
    }
  }
}

TEST(Accumulate, AResumedRunHasAsMany) {
  const Directory directory;
  StopAt stopper(3);
  run(directory.path(), accumulating(2, 2), stopper.options);
  TrainOptions options;
  options.resume = true;
  try {
    run(directory.path(), accumulating(2, 1), options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("its accumulate is 2, that of this run is 1"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace sluice::training_test
