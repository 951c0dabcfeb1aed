#include "sluice/autograd/attention.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/tensor/gemm.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

using test::check_gradients;
using test::leaf;
using test::random_tensor;
using test::weighted_sum;

// The definition in float64, element by element; keys and values with their context before them.
Tensor plain_attention(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t heads,
                       std::int64_t window) {
  const std::int64_t time = q.dim(1), width = q.dim(2), d = width / heads, keys = k.dim(1);
  const std::int64_t context = keys - time;
  Tensor y(q.shape(), DType::f64);
  const auto at = [&](const Tensor& x, std::int64_t b, std::int64_t t, std::int64_t c) -> double& {
    return x.data<double>()[(b * x.dim(1) + t) * width + c];
  };
  for (std::int64_t b = 0; b < q.dim(0); ++b) {
    for (std::int64_t h = 0; h < heads; ++h) {
      for (std::int64_t t = 0; t < time; ++t) {
        const std::int64_t last = context + t;
        const std::int64_t first = std::max<std::int64_t>(last - window + 1, 0);
        std::vector<double> p;
        double sum = 0;
        for (std::int64_t j = first; j <= last; ++j) {
          double score = 0;
          for (std::int64_t c = 0; c < d; ++c)
            score += at(q, b, t, h * d + c) * at(k, b, j, h * d + c);
          p.push_back(std::exp(score / std::sqrt(static_cast<double>(d))));
          sum += p.back();
        }
        for (std::int64_t c = 0; c < d; ++c) {
          double total = 0;
          for (std::int64_t j = first; j <= last; ++j) {
            total += p[static_cast<std::size_t>(j - first)] / sum * at(v, b, j, h * d + c);
          }
          at(y, b, t, h * d + c) = total;
        }
      }
    }
  }
  return y;
}

// Rows [first, last) in time of x [B, T, D].
Tensor times(const Tensor& x, std::int64_t first, std::int64_t last) {
  const std::int64_t d = x.dim(2);
  Tensor part(Shape{x.dim(0), last - first, d}, x.dtype());
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t b = 0; b < x.dim(0); ++b) {
      std::memcpy(part.data<T>() + b * (last - first) * d, x.data<T>() + (b * x.dim(1) + first) * d,
                  static_cast<std::size_t>((last - first) * d) * sizeof(T));
    }
  });
  return part;
}

void expect_near(const Tensor& got, const Tensor& expected, double tolerance) {
  ASSERT_EQ(got.shape(), expected.shape());
  const Tensor g = got.dtype() == DType::f64 ? got : got.to(DType::f64);
  for (std::int64_t i = 0; i < g.elements(); ++i) {
    ASSERT_NEAR(g.data<double>()[i], expected.data<double>()[i], tolerance) << "element " << i;
  }
}

struct Case {
  std::int64_t batch, time, context, width, heads, window;
};
const std::vector<Case> kCases{
    {1, 1, 0, 4, 1, 1},     {2, 5, 0, 6, 2, 3},     {2, 5, 4, 6, 3, 5},    {1, 70, 9, 8, 2, 4},
    {1, 130, 0, 6, 1, 200}, {2, 67, 40, 10, 2, 33}, {1, 3, 50, 14, 2, 20}, {3, 1, 30, 8, 4, 31},
    {1, 2, 7, 6, 2, 100},   {1, 65, 64, 4, 1, 65}};

TEST(Attention, EqualsItsDefinition) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.batch << " " << c.time << " " << c.context << " "
                                    << c.width << " " << c.heads << " " << c.window);
    const std::int64_t all = c.context + c.time;
    const Tensor q = random_tensor({c.batch, c.time, c.width}, 1);
    const Tensor k = random_tensor({c.batch, all, c.width}, 2);
    const Tensor v = random_tensor({c.batch, all, c.width}, 3);
    const Tensor expected = plain_attention(q, k, v, c.heads, c.window);
    for (const DType dtype : {DType::f64, DType::f32}) {
      const auto part = [&](const Tensor& x, std::int64_t first, std::int64_t last) {
        const Tensor cut = times(x, first, last);
        return dtype == DType::f64 ? cut : cut.to(DType::f32);
      };
      const auto context = [&](const Tensor& x) {
        return c.context > 0 ? part(x, 0, c.context) : Tensor();
      };
      const Variable y =
          causal_attention(Variable(part(q, 0, c.time)), Variable(part(k, c.context, all)),
                           Variable(part(v, c.context, all)), context(k), context(v),
                           {.heads = c.heads, .window = c.window});
      expect_near(y.value(), expected, dtype == DType::f64 ? 1e-13 : 2e-6);
    }
  }
}

TEST(Attention, GradientsOfEveryOperand) {
  for (const Case& c : kCases) {
    for (const bool rotary : {false, true}) {
      if (rotary && c.width / c.heads % 2 != 0) continue;
      const Shape shape{c.batch, c.time, c.width};
      const Variable q = leaf(shape, 1), k = leaf(shape, 2), v = leaf(shape, 3);
      Tensor before_k, before_v;
      if (c.context > 0) {
        before_k = random_tensor({c.batch, c.context, c.width}, 4);
        before_v = random_tensor({c.batch, c.context, c.width}, 5);
      }
      const Attention options{.heads = c.heads, .window = c.window, .rotary = rotary};
      check_gradients({q, k, v}, [&] {
        return weighted_sum(causal_attention(q, k, v, before_k, before_v, options));
      });
    }
  }
}

// [a; b; c] side by side in the last dimension.
Tensor beside(const std::vector<Tensor>& parts) {
  const std::int64_t d = parts[0].dim(2), n = static_cast<std::int64_t>(parts.size());
  Tensor y(Shape{parts[0].dim(0), parts[0].dim(1), n * d}, DType::f64);
  const std::int64_t rows = parts[0].dim(0) * parts[0].dim(1);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t i = 0; i < n; ++i) {
      std::copy_n(parts[static_cast<std::size_t>(i)].data<double>() + r * d, d,
                  y.data<double>() + (r * n + i) * d);
    }
  }
  return y;
}

TEST(Attention, SideBySideIsTheSame) {
  const Shape shape{2, 9, 8}, before{2, 5, 8};
  const Tensor q = random_tensor(shape, 1), k = random_tensor(shape, 2),
               v = random_tensor(shape, 3);
  const Tensor kc = random_tensor(before, 4), vc = random_tensor(before, 5);
  const Attention options{.heads = 2, .window = 4, .rotary = true};
  const Variable qkv(beside({q, k, v}), true);
  const Tensor context = beside({kc, vc});
  const Tensor y = causal_attention(Variable(q), Variable(k), Variable(v), kc, vc, options).value();
  expect_near(causal_self_attention(qkv, context, options).value(), y, 0);
  check_gradients({qkv},
                  [&] { return weighted_sum(causal_self_attention(qkv, context, options)); });
  check_gradients({qkv}, [&] { return weighted_sum(causal_self_attention(qkv, {}, options)); });
}

// A text that began within the context sees no more of it than is its own.
TEST(Attention, TextsSeeTheirOwnPartOfTheContext) {
  const Shape shape{3, 5, 24};
  const Variable qkv(random_tensor(shape, 1), true);
  const Tensor context = random_tensor(Shape{3, 3, 16}, 2);
  const Attention options{.heads = 2, .window = 4, .rotary = true};
  const std::vector<std::int32_t> visible = {0, 2, 3};
  const auto all = [&] { return causal_self_attention(qkv, context, options, visible); };
  for (std::int64_t b = 0; b < 3; ++b) {
    const std::int64_t own = visible[static_cast<std::size_t>(b)];
    Tensor before;
    if (own > 0) {
      before = context.rows(b, b + 1).reshape(Shape{3, 16}).rows(3 - own, 3).clone();
      before = before.reshape(Shape{1, own, 16});
    }
    const Tensor alone =
        causal_self_attention(Variable(qkv.value().rows(b, b + 1).clone()), before, options)
            .value();
    expect_near(all().value().rows(b, b + 1).clone(), alone, 1e-12);
  }
  check_gradients({qkv}, [&] { return weighted_sum(all()); });
  EXPECT_THROW(causal_self_attention(qkv, context, options, std::vector<std::int32_t>{1}), Error);
}

// Rotating by position before attention is what `rotary` does inside.
TEST(Attention, RotationIsThatOfTheRotaryOp) {
  const Shape shape{2, 9, 12};
  const Variable q = leaf(shape, 1), k = leaf(shape, 2), v = leaf(shape, 3);
  for (const std::int64_t first : {0, -7, 12345}) {
    const Tensor expected = causal_attention(rotary(q, 3, first), rotary(k, 3, first), v, {}, {},
                                             {.heads = 3, .window = 5})
                                .value();
    expect_near(
        causal_attention(q, k, v, {}, {}, {.heads = 3, .window = 5, .rotary = true}).value(),
        expected, 1e-11);
  }
  check_gradients({q}, [&] { return weighted_sum(rotary(q, 3, 4)); });
}

TEST(Attention, RotaryTurnsHalfSplitPairs) {
  // One head of 4: elements 0 and 2 turn by the position, 1 and 3 by a hundredth of it.
  const std::vector<double> x{1, 2, 3, 4};
  const Tensor y = rotary(Variable(Tensor::of<double>({1, 1, 4}, x)), 1, 5).value();
  const double* got = y.data<double>();
  EXPECT_NEAR(got[0], 1 * std::cos(5) - 3 * std::sin(5), 1e-14);
  EXPECT_NEAR(got[2], 3 * std::cos(5) + 1 * std::sin(5), 1e-14);
  EXPECT_NEAR(got[1], 2 * std::cos(0.05) - 4 * std::sin(0.05), 1e-14);
  EXPECT_NEAR(got[3], 4 * std::cos(0.05) + 2 * std::sin(0.05), 1e-14);
}

// Chunks of any length with the context carried give what the whole gives, rotated or not: to
// rounding, since sums run over other blocks and rotation starts elsewhere.
TEST(Attention, ChunksWithTheirContextEqualTheWhole) {
  constexpr std::int64_t time = 90, width = 8;
  for (const bool rotary : {false, true}) {
    for (const std::int64_t window : {1, 2, 17, 64, 500}) {
      const Attention options{.heads = 2, .window = window, .rotary = rotary};
      const Tensor qkv = random_tensor({2, time, 3 * width}, 1);
      const Tensor whole = causal_self_attention(Variable(qkv), {}, options).value();
      for (const std::int64_t step : {1, 7, 64}) {
        Tensor context;
        for (std::int64_t t = 0; t < time; t += step) {
          const std::int64_t end = std::min(t + step, time);
          const Tensor chunk = times(qkv, t, end);
          expect_near(causal_self_attention(Variable(chunk), context, options).value(),
                      times(whole, t, end), 1e-12);
          context = next_attention_context(chunk, context, window);
          EXPECT_EQ(context.dim(1), std::min(end, window - 1));
        }
      }
    }
  }
}

TEST(Attention, TheFutureNeverChangesThePast) {
  const Shape shape{1, 150, 8};
  for (const std::int64_t changed : {1, 63, 64, 100, 149}) {
    Tensor qkv = random_tensor({1, 150, 24}, 1).to(DType::f32);
    const Attention options{.heads = 2, .window = 40, .rotary = true};
    const Tensor before = causal_self_attention(Variable(qkv), {}, options).value();
    for (std::int64_t i = changed * 24; i < qkv.elements(); ++i) qkv.data<float>()[i] += 3.0F;
    const Tensor after = causal_self_attention(Variable(qkv), {}, options).value();
    EXPECT_EQ(std::memcmp(before.raw(), after.raw(), static_cast<std::size_t>(changed * 8) * 4), 0);
    EXPECT_NE(std::memcmp(before.raw(), after.raw(), before.bytes()), 0);
  }
}

TEST(Attention, NothingBeyondTheWindowIsSeen) {
  constexpr std::int64_t time = 150, window = 40;
  Tensor qkv = random_tensor({1, time, 24}, 1).to(DType::f32);
  const Attention options{.heads = 2, .window = window};
  const Tensor before = causal_self_attention(Variable(qkv), {}, options).value();
  for (std::int64_t i = 0; i < 24 * 30; ++i) qkv.data<float>()[i] += 3.0F;
  const Tensor after = causal_self_attention(Variable(qkv), {}, options).value();
  // Position 29 is seen up to 29 + 39 = 68.
  EXPECT_EQ(std::memcmp(before.data<float>() + 69 * 8, after.data<float>() + 69 * 8, 81 * 8 * 4),
            0);
  EXPECT_NE(std::memcmp(before.data<float>() + 68 * 8, after.data<float>() + 68 * 8, 8 * 4), 0);
}

// Scores of ±1e4: the softmax picks one key, its gradient is finite.
TEST(Attention, LargeScoresAreSafe) {
  const Shape shape{1, 20, 8};
  const auto large = [&](std::uint32_t stream) {
    return Variable(random_tensor(shape, stream, 100.0).to(DType::f32), true);
  };
  const Variable q = large(1), k = large(2), v = large(3);
  Tape tape;
  const Variable y = causal_attention(q, k, v, {}, {}, {.heads = 1, .window = 9});
  tape.backward(sum(y));
  for (const Variable& x : {q, k, v}) {
    for (const float g : x.grad().span<float>()) EXPECT_TRUE(std::isfinite(g));
  }
  for (const float out : y.value().span<float>()) EXPECT_TRUE(std::isfinite(out));
}

TEST(Attention, DoesNotDependOnTheThreadCount) {
  const auto run = [](int threads) {
    const int before = thread_count();
    set_thread_count(threads);
    const Variable qkv(random_tensor({3, 100, 24}, 1).to(DType::f32), true);
    const Variable weights(random_tensor({1, 3 * 100 * 8}, 2).to(DType::f32));
    Tape tape;
    const Variable y = causal_self_attention(qkv, {}, {.heads = 2, .window = 50, .rotary = true});
    tape.backward(reshape(linear(reshape(y, Shape{1, 3 * 100 * 8}), weights, {}), Shape{1}));
    set_thread_count(before);
    return std::pair(y.value(), qkv.grad());
  };
  const auto one = run(1), three = run(3);
  EXPECT_EQ(std::memcmp(one.first.raw(), three.first.raw(), one.first.bytes()), 0);
  EXPECT_EQ(std::memcmp(one.second.raw(), three.second.raw(), one.second.bytes()), 0);
}

TEST(Attention, Bfloat16IsNearFloat32) {
  if (!has_bfloat16_gemm()) GTEST_SKIP() << "no bfloat16 products on this CPU";
  const auto run = [](Precision precision, std::int64_t time) {
    const Variable qkv(random_tensor({2, time, 96}, 1).to(DType::f32), true);
    const Variable weights(random_tensor({1, 2 * time * 32}, 2).to(DType::f32));
    Tape tape;
    const Variable y = causal_self_attention(
        qkv, {}, {.heads = 2, .window = 50, .rotary = true, .precision = precision});
    tape.backward(reshape(linear(reshape(y, Shape{1, 2 * time * 32}), weights, {}), Shape{1}));
    return std::pair(y.value(), qkv.grad());
  };
  for (const std::int64_t time : {1, 100}) {
    const auto exact = run(Precision::f32, time), rounded = run(Precision::bf16, time);
    for (std::int64_t i = 0; i < exact.first.elements(); ++i) {
      ASSERT_NEAR(rounded.first.data<float>()[i], exact.first.data<float>()[i], 0.03);
    }
    for (std::int64_t i = 0; i < exact.second.elements(); ++i) {
      ASSERT_NEAR(rounded.second.data<float>()[i], exact.second.data<float>()[i], 0.1);
    }
  }
}

// The peak of forward and backward above what was there before grows with T, not T².
TEST(Attention, MemoryIsLinearInTime) {
  const auto peak = [](std::int64_t time) {
    release_cached_memory();
    const Variable qkv(random_tensor({1, time, 48}, 1).to(DType::f32), true);
    const auto before = static_cast<double>(allocator_stats().bytes_in_use);
    double most = 0;
    {
      Tape tape;
      const Variable y = causal_self_attention(qkv, {}, {.heads = 1, .window = time});
      most = static_cast<double>(allocator_stats().bytes_in_use) - before;
      tape.backward(sum(y));
    }
    most = std::max(most, static_cast<double>(allocator_stats().peak_bytes_in_use) - before);
    return most;
  };
  // The process's peak only grows, so the larger time comes second; T² scores alone would be 64 MB.
  const double small = peak(1024), large = peak(4096);
  EXPECT_LT(large, 4.6 * small);
  EXPECT_LT(large, 12e6);
}

TEST(Attention, RefusesWhatDoesNotFit) {
  const Variable x = leaf({2, 5, 6}, 1);
  const auto message = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  const auto expect = [&](const auto& call, const char* part) {
    EXPECT_NE(message(call).find(part), std::string::npos) << message(call);
  };
  const Attention options{.heads = 2, .window = 3};
  expect([&] { causal_attention(x, leaf({2, 4, 6}, 1), x, {}, {}, options); }, "[2, 4, 6]");
  expect([&] { causal_attention(x, x, x, random_tensor({2, 3, 6}, 1), {}, options); }, "neither");
  expect([&] { causal_self_attention(x, random_tensor({2, 3, 6}, 1), options); }, "[2, 3, 6]");
  expect([&] { causal_self_attention(leaf({2, 5, 7}, 1), {}, options); }, "3D");
  expect([&] { rotary(leaf({5, 6}, 1), 2, 0); }, "[5, 6]");
  EXPECT_THROW(causal_attention(x, x, x, {}, {}, {.heads = 4, .window = 3}), UsageError);
  EXPECT_THROW(causal_attention(x, x, x, {}, {}, {.heads = 2, .window = 0}), UsageError);
  EXPECT_THROW(causal_attention(x, x, x, {}, {}, {.heads = 2, .window = 3, .rotary = true}),
               UsageError);
  EXPECT_THROW(causal_attention(x, x, x, {}, {}, {.heads = 0, .window = 3}), UsageError);
}

}  // namespace
}  // namespace sluice
