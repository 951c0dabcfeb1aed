
#include <gtest/gtest.h>

#include "sluice/autograd/activations.hpp"
#include "sluice/autograd/arithmetic.hpp"
#include "sluice/autograd/convolution.hpp"
#include "sluice/autograd/cross_entropy.hpp"
#include "sluice/autograd/dropout.hpp"
#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/autograd/weight_norm.hpp"
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

TEST(Ops, LinearGradients) {
  const Variable x = leaf({5, 7}, 1), w = leaf({3, 7}, 2), b = leaf({3}, 3);
  check_gradients({x, w, b}, [&] { return weighted_sum(linear(x, w, b)); });
}

TEST(Ops, MatmulGradients) {
  const Variable x = leaf({5, 7}, 1), w = leaf({7, 4}, 2);
  check_gradients({x, w}, [&] { return weighted_sum(matmul(x, w)); });
}

TEST(Ops, EmbeddingRefusesIdsOutsideTheTable) {
  const Variable table = leaf({6, 5}, 1);
  for (const std::int32_t id : {-1, 6}) {
    const std::vector<std::int32_t> ids{id};
    EXPECT_THROW(embedding(ids, table), Error);
  }
}

TEST(Ops, RowPlumbingGradients) {
  const Variable a = leaf({4, 3}, 1), b = leaf({2, 3}, 2);
  const std::vector<std::int32_t> pick{5, 1, 1};
  check_gradients({a, b}, [&] { return weighted_sum(gather_rows(concat_rows(a, b), pick)); });
  check_gradients({a, b}, [&] {
    return weighted_sum(scatter_rows({{a, {6, 0, 3, 1}}, {b, {2, 5}}}, 7));
  });
}

TEST(Ops, AddScaledReshapeSumMeanGradients) {
  const Variable x = leaf({4, 3}, 1), z = leaf({4, 3}, 2);
  check_gradients({x, z}, [&] { return weighted_sum(add_scaled(x, 0.5, z, -2.0)); });
  check_gradients({x}, [&] { return weighted_sum(add_scaled(x, 0.5, x, 2.0)); });
  check_gradients({x}, [&] { return sum(unit(reshape(x, Shape{3, 4}), parse_unit("glu"))); });
  check_gradients({x}, [&] { return mean(unit(x, parse_unit("tanh"))); });
}

TEST(Ops, DropoutGradientUsesTheSameMask) {
  const Variable x = leaf({11, 13}, 1);
  const Dropout d{0.4F, 7, 3, 9};
  check_gradients({x}, [&] { return weighted_sum(dropout(x, d)); });
  const Tensor y = dropout(x, d).value();
  std::int64_t dropped = 0;
  for (const double v : y.span<double>()) dropped += v == 0;
  EXPECT_GT(dropped, 30);
  EXPECT_LT(dropped, 85);
}

TEST(Ops, WeightNormGradients) {
  const Variable v = leaf({2, 4, 6}, 1), g = leaf({6}, 2);
  check_gradients({v, g}, [&] { return weighted_sum(weight_norm(v, g)); });
  // Used twice, v's gradient is a sum whose squares nobody knows.
  check_gradients({v, g}, [&] {
    return add_scaled(weighted_sum(weight_norm(v, g)), 1.0, weighted_sum(v, 98), 1.0);
  });
  EXPECT_FALSE(v.gradient()->squares().has_value());
}

TEST(Ops, WeightNormKnowsItsGradientsSquaresOnAnyNumberOfThreads) {
  std::vector<double> squares;
  const int before = thread_count();
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    const Variable v(random_tensor({600, 200}, 1).to(DType::f32), true);
    const Variable g(random_tensor({200}, 2).to(DType::f32), true);
    const Variable factor(random_tensor({1, 600 * 200}, 3).to(DType::f32));
    Tape tape;
    const Variable w = reshape(weight_norm(v, g), Shape{1, 600 * 200});
    tape.backward(reshape(linear(w, factor, {}), Shape{1}));
    squares.push_back(v.gradient()->squares().value());
    const double expected = kernels::sum_of_squares(v.grad().data<float>(), 600 * 200);
    EXPECT_NEAR(squares.back(), expected, 1e-12 * expected);
  }
  set_thread_count(before);
  EXPECT_EQ(squares[0], squares[1]);
}

TEST(Ops, LinearCrossEntropyGradients) {
  const Variable h = leaf({9, 5}, 1), w = leaf({7, 5}, 2), b = leaf({7}, 3);
  const std::vector<std::int32_t> targets{0, 6, 3, 3, 1, 2, 5, 4, 0};
  check_gradients({h, w, b}, [&] { return linear_cross_entropy(h, w, b, {targets, 0.25}); });
  // A factor above the loss reaches every gradient.
  check_gradients({h, w, b}, [&] {
    const Variable loss = linear_cross_entropy(h, w, b, {targets, 0.25});
    return add_scaled(loss, -3.0, loss, 0.5);
  });
}

TEST(Ops, LinearCrossEntropyWorksInBlocksOfRows) {
  // More logits than one block holds (2^24): the last rows' loss and gradients, which come from
  // another block than the first's, are those of a row by itself.
  const std::int64_t rows = 400, v = 50000;
  const Variable h(random_tensor({rows, 2}, 1).to(DType::f32), true);
  const Variable w(random_tensor({v, 2}, 2).to(DType::f32), true);
  std::vector<std::int32_t> targets;
  for (std::int64_t r = 0; r < rows; ++r) {
    targets.push_back(static_cast<std::int32_t>(r * 383 % v));
  }
  const Tensor nll = Tensor::zeros(Shape{rows});
  {
    Tape tape;
    tape.backward(linear_cross_entropy(h, w, {}, {targets, 1.0 / rows, nll}));
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    if (r % 57 != 0 && r < rows - 2) continue;
    const Variable row(h.value().rows(r, r + 1), true);
    const std::int32_t target = targets[static_cast<std::size_t>(r)];
    Tape tape;
    const Variable one = linear_cross_entropy(row, w, {}, {std::span(&target, 1), 1.0 / rows});
    tape.backward(one);
    EXPECT_NEAR(nll.data<float>()[r], *one.value().data<float>() * rows, 1e-4);
    for (int c = 0; c < 2; ++c) {
      EXPECT_NEAR(h.grad().data<float>()[r * 2 + c], row.grad().data<float>()[c], 1e-6);
    }
  }
}

TEST(Ops, LinearCrossEntropyAddsTheWeightsGradientOverBlocks) {
  // Twice the same rows in two blocks: the gradient of 2^24 / 65536 = 256 rows, doubled.
  const std::int64_t half = 256, v = 65536;
  const Tensor once = random_tensor({half, 2}, 1).to(DType::f32);
  Tensor twice(Shape{2 * half, 2});
  twice.rows(0, half).copy_from(once);
  twice.rows(half, 2 * half).copy_from(once);
  const Variable w(random_tensor({v, 2}, 2).to(DType::f32), true);
  std::vector<std::int32_t> targets;
  for (std::int64_t r = 0; r < 2 * half; ++r) {
    targets.push_back(static_cast<std::int32_t>(r % half * 97));
  }
  const auto gradient = [&](const Tensor& rows) {
    w.zero_grad();
    Tape tape;
    tape.backward(
        linear_cross_entropy(Variable(rows, true), w, {},
                             {std::span(targets).first(static_cast<std::size_t>(rows.dim(0)))}));
    return w.grad();
  };
  const Tensor one = gradient(once), both = gradient(twice);
  for (std::int64_t i = 0; i < one.elements(); ++i) {
    ASSERT_NEAR(both.data<float>()[i], 2 * one.data<float>()[i], 1e-5);
  }
}

class UnitGradients : public testing::TestWithParam<std::string> {};

TEST_P(UnitGradients, AgainstCentralDifferences) {
  const Unit u = parse_unit(GetParam());
  const Variable x = leaf({6, 10}, 4);
  check_gradients({x}, [&] { return weighted_sum(unit(x, u)); });
}

TEST_P(UnitGradients, OfTheFusedConvolution) {
  const Unit u = parse_unit(GetParam());
  const std::int64_t n = 3, m = u.inputs(n);
  for (const std::int64_t kernel : {1, 2, 4}) {
    const Variable x = leaf({2, 5, 4}, 1), w = leaf({kernel, 4, m}, 2, 0.5), b = leaf({m}, 3, 0.5);
    const Variable residual = leaf({2, 5, n}, 4);
    CausalConv conv;
    conv.unit = u;
    conv.scale = 0.7;
    conv.context = random_tensor({2, kernel - 1, 4}, 5);
    conv.dropout = {0.3F, 1, 2, 3};
    check_gradients({x, w, b, residual},
                    [&] { return weighted_sum(causal_conv_unit(x, w, b, residual, conv)); });
    conv.path = ConvPath::fast;
    conv.gain = leaf({b.shape()[0]}, 6);
    check_gradients({x, w, b, residual, conv.gain},
                    [&] { return weighted_sum(causal_conv_unit(x, w, b, residual, conv)); });
    CausalConv plain;
    plain.unit = u;
    check_gradients({x, w, b}, [&] { return weighted_sum(causal_conv_unit(x, w, b, {}, plain)); });
  }
}

INSTANTIATE_TEST_SUITE_P(AllUnits, UnitGradients, testing::ValuesIn([] {
                           std::vector<std::string> names = unit_names();
                           names.insert(names.end(), {"tanh(a)*b", "a*silu(b)", "a*relu(b)"});
                           return names;
                         }()));

}  // namespace
}  // namespace sluice
