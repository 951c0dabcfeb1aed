#include "sluice/autograd/rows.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "sluice/autograd/arithmetic.hpp"
#include "sluice/autograd/cross_entropy.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

using test::check_gradients;
using test::leaf;
using test::random_tensor;
using test::weighted_sum;

TEST(SparseRows, EmbeddingAddsGradientsOfRepeatedIds) {
  const Variable table = leaf({6, 5}, 1);
  const std::vector<std::int32_t> ids{2, 0, 2, 5, 2};
  check_gradients({table}, [&] { return weighted_sum(embedding(ids, table)); });
}

TEST(SparseRows, EmbeddingGradientIsSparseUntilItIsReadOrMadeDense) {
  const Variable table = leaf({6, 3}, 1);
  const std::vector<std::int32_t> ids{4, 0, 4, 1};
  const auto backward = [&](bool dense_first, bool dense_last) {
    table.zero_grad();
    Tape tape;
    // The walk is in reverse: what is recorded last comes first.
    Variable loss = sum(Variable(random_tensor({1, 1}, 9), true));
    const auto add = [&](const Variable& y) { loss = add_scaled(loss, 1.0, weighted_sum(y), 1.0); };
    const auto add_dense = [&] { loss = add_scaled(loss, 1.0, weighted_sum(table, 98), 1.0); };
    if (dense_last) add_dense();
    add(embedding(ids, table));
    if (dense_first) add_dense();
    tape.backward(loss);
  };
  backward(false, false);
  const SparseRows* sparse = table.gradient()->sparse();
  ASSERT_NE(sparse, nullptr);
  EXPECT_EQ(sparse->ids, (std::vector<std::int32_t>{0, 1, 4}));
  ASSERT_TRUE(table.gradient()->squares().has_value());
  const double squares = *table.gradient()->squares();
  const Tensor rows = sparse->rows;
  const Tensor alone = table.grad().clone();
  EXPECT_EQ(table.gradient()->sparse(), nullptr);
  EXPECT_NEAR(squares, kernels::sum_of_squares(alone.data<double>(), 18), 1e-12);
  for (int c = 0; c < 3; ++c) {
    EXPECT_EQ(alone.data<double>()[4 * 3 + c], rows.data<double>()[2 * 3 + c]);
    EXPECT_EQ(alone.data<double>()[2 * 3 + c], 0);
  }

  // Dense and sparse contributions add up to the same in either order.
  backward(true, false);
  EXPECT_EQ(table.gradient()->sparse(), nullptr);
  EXPECT_FALSE(table.gradient()->squares().has_value());
  const Tensor first = table.grad().clone();
  backward(false, true);
  EXPECT_EQ(table.gradient()->sparse(), nullptr);
  EXPECT_FALSE(table.gradient()->squares().has_value());
  for (std::int64_t i = 0; i < 18; ++i) {
    EXPECT_EQ(first.data<double>()[i], table.grad().data<double>()[i]);
  }
}

TEST(SparseRows, TablesUsedTwiceHaveBothUsesGradients) {
  const Variable table = leaf({6, 5}, 1), b = leaf({6}, 2);
  const std::vector<std::int32_t> ids{2, 0, 2, 5}, more{1, 2, 5}, targets{3, 0, 5, 5};
  check_gradients({table}, [&] {
    return add_scaled(weighted_sum(embedding(ids, table), 98), 1.0,
                      weighted_sum(embedding(more, table)), 0.5);
  });
  // Tied: the embedding's rows come after the softmax's tensor, and here before it too.
  check_gradients({table, b}, [&] {
    const Variable loss = linear_cross_entropy(embedding(ids, table), table, b, {targets, 0.25});
    return add_scaled(loss, 1.0, weighted_sum(embedding(more, table)), 1.0);
  });
}

TEST(SparseRows, SparseGradientsDoNotDependOnTheThreadCount) {
  std::vector<std::int32_t> ids;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    ids.push_back(static_cast<std::int32_t>(i * 2654435761U % 500 * (i % 3) / 2));
  }
  const auto run = [&](int threads) {
    const int before = thread_count();
    set_thread_count(threads);
    const Variable table(random_tensor({500, 40}, 1).to(DType::f32), true);
    const Variable weight(random_tensor({1, 3000 * 40}, 2).to(DType::f32));
    Tape tape;
    const Variable y = reshape(embedding(ids, table), Shape{1, 3000 * 40});
    tape.backward(reshape(linear(y, weight, {}), Shape{1}));
    set_thread_count(before);
    const double squares = table.gradient()->squares().value();
    return std::pair(table.grad(), squares);
  };
  const auto one = run(1), three = run(3);
  EXPECT_EQ(one.second, three.second);
  EXPECT_EQ(std::memcmp(one.first.raw(), three.first.raw(), one.first.bytes()), 0);
}

TEST(SparseRows, GradientsThatDoNotFitSayBothShapes) {
  const Variable table = leaf({6, 5}, 1);
  try {
    table.gradient()->accumulate(SparseRows{{1}, random_tensor({1, 4}, 1)});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("[1, 4]"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("[6, 5]"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace sluice
