#include "sluice/autograd/ops.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/kernels/elementwise.hpp"
#include "sluice/tensor/gemm.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

using test::check_gradients;
using test::random_tensor;
using test::weighted_sum;

Variable leaf(Shape shape, std::uint32_t stream, double deviation = 1.0) {
  return Variable(random_tensor(shape, stream, deviation), true);
}

TEST(Ops, LinearGradients) {
  const Variable x = leaf({5, 7}, 1), w = leaf({3, 7}, 2), b = leaf({3}, 3);
  check_gradients({x, w, b}, [&] { return weighted_sum(linear(x, w, b)); });
}

TEST(Ops, MatmulGradients) {
  const Variable x = leaf({5, 7}, 1), w = leaf({7, 4}, 2);
  check_gradients({x, w}, [&] { return weighted_sum(matmul(x, w)); });
}

TEST(Ops, EmbeddingAddsGradientsOfRepeatedIds) {
  const Variable table = leaf({6, 5}, 1);
  const std::vector<std::int32_t> ids{2, 0, 2, 5, 2};
  check_gradients({table}, [&] { return weighted_sum(embedding(ids, table)); });
}

TEST(Ops, EmbeddingGradientIsSparseUntilItIsReadOrMadeDense) {
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

TEST(Ops, TablesUsedTwiceHaveBothUsesGradients) {
  const Variable table = leaf({6, 5}, 1), b = leaf({6}, 2);
  const std::vector<std::int32_t> ids{2, 0, 2, 5}, more{1, 2, 5}, targets{3, 0, 5, 5};
  check_gradients({table}, [&] {
    return add_scaled(weighted_sum(embedding(ids, table), 98), 1.0,
                      weighted_sum(embedding(more, table)), 0.5);
  });
  // Tied: the embedding's rows come after the softmax's tensor, and here before it too.
  check_gradients({table, b}, [&] {
    const Variable loss = linear_cross_entropy(embedding(ids, table), table, b, targets, 0.25);
    return add_scaled(loss, 1.0, weighted_sum(embedding(more, table)), 1.0);
  });
}

TEST(Ops, SparseGradientsDoNotDependOnTheThreadCount) {
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

TEST(Ops, GradientsThatDoNotFitSayBothShapes) {
  const Variable table = leaf({6, 5}, 1);
  try {
    table.gradient()->accumulate(SparseRows{{1}, random_tensor({1, 4}, 1)});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("[1, 4]"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("[6, 5]"), std::string::npos) << error.what();
  }
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
  check_gradients({h, w, b}, [&] { return linear_cross_entropy(h, w, b, targets, 0.25); });
  // A factor above the loss reaches every gradient.
  check_gradients({h, w, b}, [&] {
    const Variable loss = linear_cross_entropy(h, w, b, targets, 0.25);
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
    tape.backward(linear_cross_entropy(h, w, {}, targets, 1.0 / rows, nll));
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    if (r % 57 != 0 && r < rows - 2) continue;
    const Variable row(h.value().rows(r, r + 1), true);
    const std::int32_t target = targets[static_cast<std::size_t>(r)];
    Tape tape;
    const Variable one = linear_cross_entropy(row, w, {}, std::span(&target, 1), 1.0 / rows);
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
                             std::span(targets).first(static_cast<std::size_t>(rows.dim(0))), 1.0));
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

// z by the definition, one element at a time.
TEST(CausalConvUnit, EqualsItsDefinition) {
  const std::int64_t batch = 2, time = 6, c = 3, n = 4, kernel = 3;
  const Variable x = leaf({batch, time, c}, 1), w = leaf({kernel, c, n}, 2), b = leaf({n}, 3);
  CausalConv conv;
  conv.context = random_tensor({batch, kernel - 1, c}, 4);
  Tensor next;
  const Tensor y = causal_conv_unit(x, w, b, {}, conv, &next).value();
  const auto input = [&](std::int64_t stream, std::int64_t t, std::int64_t i) {
    return t >= 0 ? x.value().data<double>()[(stream * time + t) * c + i]
                  : conv.context.data<double>()[(stream * (kernel - 1) + t + kernel - 1) * c + i];
  };
  for (std::int64_t s = 0; s < batch; ++s) {
    for (std::int64_t t = 0; t < time; ++t) {
      for (std::int64_t j = 0; j < n; ++j) {
        double z = b.value().data<double>()[j];
        for (std::int64_t k = 0; k < kernel; ++k) {
          for (std::int64_t i = 0; i < c; ++i) {
            z += input(s, t - (kernel - 1) + k, i) * w.value().data<double>()[(k * c + i) * n + j];
          }
        }
        EXPECT_NEAR(y.data<double>()[(s * time + t) * n + j], z, 1e-12);
      }
    }
    for (std::int64_t t = 0; t < kernel - 1; ++t) {
      for (std::int64_t i = 0; i < c; ++i) {
        EXPECT_EQ(next.data<double>()[(s * (kernel - 1) + t) * c + i],
                  input(s, time - (kernel - 1) + t, i));
      }
    }
  }
}

TEST(CausalConvUnit, ChunksShorterThanTheKernelCarryTheirContext) {
  const Variable x = leaf({2, 7, 3}, 1), w = leaf({4, 3, 5}, 2), b = leaf({5}, 3);
  const Tensor whole = causal_conv_unit(x, w, b, {}, {}).value();
  CausalConv conv;
  for (std::int64_t t = 0; t < 7; ++t) {
    Tensor step(Shape{2, 1, 3}, DType::f64);
    for (std::int64_t s = 0; s < 2; ++s) {
      for (std::int64_t i = 0; i < 3; ++i) {
        step.data<double>()[s * 3 + i] = x.value().data<double>()[(s * 7 + t) * 3 + i];
      }
    }
    Tensor next;
    const Tensor y = causal_conv_unit(Variable(step), w, b, {}, conv, &next).value();
    conv.context = next;
    for (std::int64_t s = 0; s < 2; ++s) {
      for (std::int64_t j = 0; j < 5; ++j) {
        EXPECT_NEAR(y.data<double>()[s * 5 + j], whole.data<double>()[(s * 7 + t) * 5 + j], 1e-12);
      }
    }
  }
}

// Both paths give the same, dropout and carried context included, whatever the tile.
TEST(CausalConvUnit, FastEqualsDirect) {
  for (const std::int64_t kernel : {2, 3, 4, 5, 6, 7}) {
    for (const std::int64_t time : {2, 9, 70}) {
      const Variable x = leaf({2, time, 6}, 1), w = leaf({kernel, 6, 8}, 2), b = leaf({8}, 3);
      const Variable residual = leaf({2, time, 4}, 4);
      CausalConv conv;
      conv.unit = parse_unit("glu");
      conv.scale = 0.7;
      conv.context = random_tensor({2, kernel - 1, 6}, 5);
      conv.dropout = {0.3F, 1, 2, 3};
      conv.gain = leaf({8}, 6);
      const auto run = [&](ConvPath path) {
        conv.path = path;
        std::vector<Tensor> out(1);
        for (const Variable& leaf : {x, w, b, residual, conv.gain}) leaf.zero_grad();
        Tape tape;
        const Variable y = causal_conv_unit(x, w, b, residual, conv, out.data());
        out.push_back(y.value());
        tape.backward(weighted_sum(y));
        for (const Variable& leaf : {x, w, b, residual, conv.gain}) out.push_back(leaf.grad());
        const NoGrad guard;
        out.push_back(causal_conv_unit(x, w, b, residual, conv).value());
        return out;
      };
      const auto direct = run(ConvPath::direct), fast = run(ConvPath::fast);
      for (std::size_t i = 0; i < direct.size(); ++i) {
        ASSERT_TRUE(direct[i].shape() == fast[i].shape());
        for (std::int64_t j = 0; j < direct[i].elements(); ++j) {
          ASSERT_NEAR(direct[i].data<double>()[j], fast[i].data<double>()[j], 1e-11)
              << "kernel " << kernel << ", time " << time << ", result " << i;
        }
      }
    }
  }
}

// An input that is its own residual takes both gradients in one pass.
TEST(CausalConvUnit, FastEqualsDirectWhereTheResidualIsTheInput) {
  const auto run = [](ConvPath path) {
    const Variable x = leaf({2, 37, 4}, 1), w = leaf({4, 4, 8}, 2), b = leaf({8}, 3);
    CausalConv conv;
    conv.unit = parse_unit("glu");
    conv.scale = 0.7;
    conv.path = path;
    Tape tape;
    tape.backward(weighted_sum(causal_conv_unit(x, w, b, x, conv)));
    return x.grad();
  };
  const Tensor direct = run(ConvPath::direct), fast = run(ConvPath::fast);
  for (std::int64_t i = 0; i < direct.elements(); ++i) {
    EXPECT_NEAR(direct.data<double>()[i], fast.data<double>()[i], 1e-12);
  }
}

TEST(CausalConvUnit, RecomputingChangesNothing) {
  for (const ConvPath path : {ConvPath::direct, ConvPath::fast}) {
    const auto run = [&](bool recompute) {
      const Variable x = leaf({2, 9, 6}, 1), w = leaf({3, 6, 8}, 2), b = leaf({8}, 3);
      CausalConv conv;
      conv.unit = parse_unit("glu");
      conv.dropout = {0.3F, 1, 2, 3};
      conv.gain = leaf({8}, 6);
      conv.path = path;
      conv.recompute = recompute;
      Tape tape;
      tape.backward(weighted_sum(causal_conv_unit(x, w, b, {}, conv)));
      return std::vector<Tensor>{x.grad(), w.grad(), b.grad(), conv.gain.grad()};
    };
    const auto kept = run(false), again = run(true);
    for (std::size_t i = 0; i < kept.size(); ++i) {
      EXPECT_EQ(std::memcmp(kept[i].raw(), again[i].raw(), kept[i].bytes()), 0) << i;
    }
  }
}

TEST(CausalConvUnit, FastSaysWhatItServes) {
  const Variable x = leaf({1, 9, 2}, 1), w = leaf({8, 2, 2}, 2), b = leaf({2}, 3);
  CausalConv conv;
  conv.path = ConvPath::fast;
  try {
    causal_conv_unit(x, w, b, {}, conv);
    FAIL() << "accepted";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("widths up to 7"), std::string::npos) << error.what();
  }
  conv.path = ConvPath::automatic;
  EXPECT_TRUE(causal_conv_unit(x, w, b, {}, conv).defined());
  EXPECT_THROW(parse_conv_path("winograd"), UsageError);
}

// Widths that are stored in spaced rows (op_support.hpp): float32 against float64.
TEST(CausalConvUnit, WideRowsEqualFloat64) {
  const auto run = [](DType dtype) {
    const auto input = [dtype](Shape shape, std::uint32_t stream) {
      return Variable(random_tensor(shape, stream, 0.3).to(dtype), true);
    };
    const Variable x = input({2, 9, 4}, 1), w = input({3, 4, 128}, 2), b = input({128}, 3);
    const Variable one = input({1, 128, 128}, 4), none = input({128}, 5);
    CausalConv conv;
    conv.path = ConvPath::direct;
    conv.unit = parse_unit("glu");
    Tape tape;
    const Variable h = causal_conv_unit(x, w, b, {}, conv);
    conv.unit = parse_unit("tanh");
    const Variable wide = causal_conv_unit(
        reshape(causal_conv_unit(reshape(h, Shape{1, 9, 128}), one, none, {}, conv),
                Shape{1, 9, 128}),
        one, none, {}, conv);
    const Variable weight = input({50, 128}, 7);
    const std::vector<std::int32_t> targets{1, 2, 3, 4, 5, 6, 7, 8, 49};
    tape.backward(linear_cross_entropy(reshape(wide, Shape{9, 128}), weight, {}, targets, 0.5));
    std::vector<Tensor> out;
    for (const Variable& leaf : {x, w, b, one, none, weight}) out.push_back(leaf.grad());
    return out;
  };
  const auto narrow = run(DType::f32), exact = run(DType::f64);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    for (std::int64_t j = 0; j < exact[i].elements(); ++j) {
      ASSERT_NEAR(narrow[i].data<float>()[j], exact[i].data<double>()[j], 2e-5) << i;
    }
  }
}

// Filters are kept for as long as their layer says its weights do not change.
TEST(CausalConvUnit, KeptFiltersAreUsedAgain) {
  for (const ConvPath path : {ConvPath::fast, ConvPath::direct}) {
    const Variable x = leaf({1, 9, 2}, 1), w = leaf({3, 2, 2}, 2), b = leaf({2}, 3);
    CausalConv conv;
    conv.gain = leaf({2}, 4);
    conv.path = path;
    const NoGrad guard;
    const Tensor plain = causal_conv_unit(x, w, b, {}, conv).value();
    conv.kept = std::make_shared<KeptFilters>();
    const Tensor first = causal_conv_unit(x, w, b, {}, conv).value();
    for (double& weight : w.value().span<double>()) weight = 1;
    const Tensor again = causal_conv_unit(x, w, b, {}, conv).value();
    conv.kept = std::make_shared<KeptFilters>();
    const Tensor other = causal_conv_unit(x, w, b, {}, conv).value();
    for (std::int64_t i = 0; i < first.elements(); ++i) {
      EXPECT_EQ(first.data<double>()[i], plain.data<double>()[i]);
      EXPECT_EQ(first.data<double>()[i], again.data<double>()[i]);
      EXPECT_NE(first.data<double>()[i], other.data<double>()[i]);
    }
  }
  CausalConv conv;
  conv.kept = std::make_shared<KeptFilters>();
  Tape tape;
  EXPECT_THROW(causal_conv_unit(leaf({1, 9, 2}, 1), leaf({3, 2, 2}, 2), leaf({2}, 3), {}, conv),
               Error);
}

TEST(CausalConvUnit, Bfloat16IsWithinItsRounding) {
  const auto f32 = [](Shape shape, std::uint32_t stream, double deviation) {
    return Variable(random_tensor(shape, stream, deviation).to(DType::f32), true);
  };
  const Variable x = f32({2, 9, 32}, 1, 1), w = f32({4, 32, 16}, 2, 0.1), b = f32({16}, 3, 1);
  CausalConv conv;
  conv.unit = parse_unit("glu");
  if (!has_bfloat16_gemm()) {
    conv.precision = Precision::bf16;
    EXPECT_THROW(causal_conv_unit(x, w, b, {}, conv), Error);
    return;
  }
  std::vector<Tensor> values, gradients;
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    conv.precision = precision;
    w.zero_grad();
    Tape tape;
    const Variable y = causal_conv_unit(x, w, b, {}, conv);
    values.push_back(y.value());
    tape.backward(sum(y));
    gradients.push_back(w.grad());
  }
  for (const auto* pair : {&values, &gradients}) {
    double error = 0, norm = 0;
    for (std::int64_t i = 0; i < (*pair)[0].elements(); ++i) {
      const double a = (*pair)[0].data<float>()[i], c = (*pair)[1].data<float>()[i];
      error += (a - c) * (a - c);
      norm += a * a;
    }
    EXPECT_LT(std::sqrt(error / norm), 0.01);
    EXPECT_GT(error, 0);
  }
}

TEST(CausalConvUnit, ResultsDoNotDependOnTheThreadCount) {
  const auto run = [](int threads) {
    const int before = thread_count();
    set_thread_count(threads);
    const Variable x = leaf({3, 70, 8}, 1), w = leaf({3, 8, 12}, 2), b = leaf({12}, 3);
    CausalConv conv;
    conv.unit = parse_unit("glu");
    conv.dropout = {0.2F, 5, 6, 7};
    Tape tape;
    tape.backward(weighted_sum(causal_conv_unit(x, w, b, {}, conv)));
    set_thread_count(before);
    return std::vector<Tensor>{x.grad(), w.grad(), b.grad()};
  };
  const auto one = run(1), three = run(3);
  for (std::size_t i = 0; i < one.size(); ++i) {
    for (std::int64_t j = 0; j < one[i].elements(); ++j) {
      EXPECT_EQ(one[i].data<double>()[j], three[i].data<double>()[j]);
    }
  }
}

TEST(CausalConvUnit, ShapeErrorsSayBothShapes) {
  const Variable x = leaf({2, 7, 3}, 1), w = leaf({4, 5, 6}, 2), b = leaf({6}, 3);
  try {
    causal_conv_unit(x, w, b, {}, {});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("[2, 7, 3]"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("[4, 5, 6]"), std::string::npos) << error.what();
  }
}

TEST(Tape, AddsGradientsOfAVariableUsedTwiceExactly) {
  const Variable x = leaf({1, 3}, 1);
  Tape tape;
  const Variable y = add_scaled(x, 2.0, x, 3.0);
  tape.backward(sum(add_scaled(y, 1.0, x, 4.0)));
  for (const double g : x.grad().span<double>()) EXPECT_EQ(g, 9.0);
}

TEST(Tape, NoGradRecordsNothing) {
  const Variable x = leaf({1, 3}, 1);
  Tape tape;
  {
    const NoGrad guard;
    EXPECT_FALSE(sum(x).requires_grad());
  }
  EXPECT_EQ(tape.size(), 0U);
  EXPECT_TRUE(sum(x).requires_grad());
  EXPECT_EQ(tape.size(), 1U);
}

TEST(Tape, RefusesALossItCannotWalkBackFrom) {
  Tape tape;
  const Variable x = leaf({1, 3}, 1);
  EXPECT_THROW(tape.backward(x), Error);
  EXPECT_THROW(tape.backward(Variable(random_tensor({1}, 1))), Error);
}

TEST(Tape, WalksALongChainWithoutRecursion) {
  const Variable x = leaf({1, 1}, 1);
  Tape tape;
  Variable y = x;
  for (int i = 0; i < 200000; ++i) y = reshape(y, Shape{1, 1});
  tape.backward(sum(y));
  EXPECT_EQ(*x.grad().data<double>(), 1.0);
}

}  // namespace
}  // namespace sluice
