#include "sluice/autograd/convolution.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "sluice/autograd/cross_entropy.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/tensor/gemm.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

using test::leaf;
using test::random_tensor;
using test::weighted_sum;

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
  EXPECT_THROW(parse_enum<ConvPath>("winograd"), UsageError);
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
    tape.backward(linear_cross_entropy(reshape(wide, Shape{9, 128}), weight, {}, {targets, 0.5}));
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

// Filters are transformed once for output and gradient where they are small beside the activations,
// and once more where keeping them would take more memory than those.
TEST(CausalConvUnit, FiltersAreTransformedOnceWhereThatTakesLittleMemory) {
  const auto transforms = [](std::int64_t time, bool recompute) {
    const Variable x = leaf({2, time, 16}, 1), w = leaf({4, 16, 32}, 2), b = leaf({32}, 3);
    CausalConv conv;
    conv.path = ConvPath::fast;
    conv.recompute = recompute;
    start_profile();
    {
      Tape tape;
      const Variable y = causal_conv_unit(x, w, b, {}, conv);
      tape.backward(weighted_sum(y));
    }
    stop_profile();
    std::uint64_t calls = 0;
    for (const ProfileEntry& entry : profile_entries()) {
      if (entry.name == "conv filter transforms") calls = entry.calls;
    }
    return calls;
  };
  EXPECT_EQ(transforms(256, false), 1U);
  EXPECT_EQ(transforms(4, false), 2U);
  EXPECT_EQ(transforms(256, true), 2U);
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

}  // namespace
}  // namespace sluice
