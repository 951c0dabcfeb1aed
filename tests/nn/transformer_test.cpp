#include "sluice/nn/transformer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "sluice/autograd/activations.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"
#include "sluice/tensor/gemm.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

using test::check_gradients;
using test::random_tensor;
using test::weighted_sum;

TransformerOptions small(Positions positions = Positions::rotary) {
  return {.dim = 12,
          .heads = 3,
          .depth = 2,
          .window = 7,
          .positions = positions,
          .ffn = "swiglu",
          .ffn_width = 10};
}

// Rows [first, last) in time of x [B, T, D].
template <class T>
Tensor times(const Tensor& x, std::int64_t first, std::int64_t last) {
  const std::int64_t d = x.dim(2);
  Tensor part(Shape{x.dim(0), last - first, d}, x.dtype());
  for (std::int64_t b = 0; b < x.dim(0); ++b) {
    std::memcpy(part.data<T>() + b * (last - first) * d, x.data<T>() + (b * x.dim(1) + first) * d,
                static_cast<std::size_t>((last - first) * d) * sizeof(T));
  }
  return part;
}

TEST(ShazeerWidth, MatchesParameters) {
  EXPECT_EQ(shazeer_width(512, parse_unit_spec("relu")), 2048);
  EXPECT_EQ(shazeer_width(512, parse_unit_spec("swiglu")), 1368);
  EXPECT_EQ(shazeer_width(768, parse_unit_spec("geglu")), 2048);  // Shazeer's own
  EXPECT_EQ(shazeer_width(1, parse_unit_spec("geglu")), 8);
  for (const std::int64_t dim : {96, 128, 200, 1000}) {
    const auto plain = static_cast<double>(2 * dim * shazeer_width(dim, parse_unit_spec("gelu")));
    const std::int64_t width = shazeer_width(dim, parse_unit_spec("geglu"));
    EXPECT_EQ(width % 8, 0);
    EXPECT_NEAR(static_cast<double>(3 * dim * width) / plain, 1.0,
                12.0 / static_cast<double>(8 * dim));
  }
}

TEST(Transformer, NamesShapesAndCountsItsParameters) {
  for (const Positions positions : {Positions::none, Positions::rotary, Positions::learned}) {
    for (const char* norm : {"layer", "rms", "none"}) {
      for (const bool bias : {false, true}) {
        TransformerOptions options = small(positions);
        options.norm = norm;
        options.bias = bias;
        Parameters parameters;
        TransformerStack(options, DType::f32, {1, 0}).collect(parameters, "stack.");
        EXPECT_EQ(parameter_count(parameters), TransformerStack::parameter_count(options));
      }
    }
  }
  Parameters parameters;
  TransformerStack(small(Positions::learned), DType::f32, {1, 0}).collect(parameters, "");
  const auto shape_of = [&](const std::string& name) {
    for (const Parameter& p : parameters) {
      if (p.name == name) return p.variable.shape();
    }
    ADD_FAILURE() << name;
    return Shape{};
  };
  EXPECT_EQ(shape_of("positions.weight"), (Shape{7, 12}));
  EXPECT_EQ(shape_of("blocks.1.attention.qkv.weight"), (Shape{36, 12}));
  EXPECT_EQ(shape_of("blocks.1.attention.out.bias"), (Shape{12}));
  EXPECT_EQ(shape_of("blocks.0.ffn.in.weight"), (Shape{20, 12}));
  EXPECT_EQ(shape_of("blocks.0.ffn.out.weight"), (Shape{12, 10}));
  EXPECT_EQ(shape_of("blocks.0.ffn_norm.weight"), (Shape{12}));
  EXPECT_EQ(shape_of("norm.weight"), (Shape{12}));
}

// Each parameter has its own random numbers, and the ways out of a block are smaller.
TEST(Transformer, InitialWeights) {
  TransformerOptions options{.dim = 64, .heads = 4, .depth = 8, .ffn = "swiglu"};
  Parameters parameters;
  TransformerStack(options, DType::f64, {1, 5}).collect(parameters, "");
  std::vector<double> firsts;
  for (const Parameter& p : parameters) {
    if (p.variable.shape().rank() != 2) continue;
    const auto values = p.variable.value().span<double>();
    double squares = 0;
    for (const double v : values) squares += v * v;
    const double deviation = std::sqrt(squares / static_cast<double>(values.size()));
    firsts.push_back(values[0] / deviation);
    const bool out = p.name.find("out.weight") != std::string::npos;
    const bool ffn = p.name.find("ffn") != std::string::npos;
    const double fan_in = out && ffn ? 168 : 64;
    const double gain = out ? 0.25 : ffn ? unit_gain(parse_unit(options.ffn)) : 1;
    EXPECT_NEAR(deviation, gain / std::sqrt(fan_in), 0.03 * deviation) << p.name;
  }
  std::sort(firsts.begin(), firsts.end());
  EXPECT_EQ(std::adjacent_find(firsts.begin(), firsts.end()), firsts.end());
}

TEST(Transformer, GradientsOfEveryParameter) {
  for (const Positions positions : {Positions::rotary, Positions::learned}) {
    for (const char* norm : {"layer", "none"}) {
      TransformerOptions options = small(positions);
      options.norm = norm;
      const TransformerStack stack(options, DType::f64, {1, 0});
      Parameters parameters;
      stack.collect(parameters, "");
      std::vector<Variable> inputs{Variable(random_tensor({2, 9, 12}, 1), true)};
      for (const Parameter& p : parameters) inputs.push_back(p.variable);
      const ForwardOptions pass{.training = true, .dropout = 0.2F, .seed = 3, .step = 4};
      std::vector<Tensor> state;
      stack.forward(Variable(random_tensor({2, 4, 12}, 2)), state, {});
      check_gradients(
          inputs,
          [&] {
            std::vector<Tensor> carried = state;
            return weighted_sum(stack.forward(inputs[0], carried, pass));
          },
          1e-7, 12);
    }
  }
}

// Single steps and chunks of any length give what the whole text gives.
TEST(Transformer, StreamingEqualsTheWhole) {
  constexpr std::int64_t time = 40;
  for (const Positions positions : {Positions::none, Positions::rotary, Positions::learned}) {
    const TransformerStack stack(small(positions), DType::f64, {1, 0});
    const Tensor x = random_tensor({2, time, 12}, 1);
    std::vector<Tensor> at_once;
    const Tensor whole = stack.forward(Variable(x), at_once, {}).value();
    for (const std::int64_t step : {1, 3, 16}) {
      std::vector<Tensor> state;
      for (std::int64_t t = 0; t < time; t += step) {
        const std::int64_t end = std::min(t + step, time);
        const Tensor y = stack.forward(Variable(times<double>(x, t, end)), state, {}).value();
        const Tensor expected = times<double>(whole, t, end);
        for (std::int64_t i = 0; i < y.elements(); ++i) {
          ASSERT_NEAR(y.data<double>()[i], expected.data<double>()[i], 1e-11) << t << " " << step;
        }
      }
      ASSERT_EQ(state.size(), at_once.size());
      for (std::size_t i = 0; i < state.size(); ++i) {
        EXPECT_EQ(state[i].shape(), at_once[i].shape()) << i;
      }
    }
  }
}

// Far into a text rotation is as exact as at its start: the state knows no position.
TEST(Transformer, RotaryStreamsDoNotDependOnWhereTheyAre) {
  const TransformerStack stack(small(), DType::f32, {1, 0});
  const Tensor x = random_tensor({1, 30, 12}, 1).to(DType::f32);
  const auto last = [&](std::int64_t before) {
    std::vector<Tensor> state;
    const Tensor noise = random_tensor({1, before, 12}, 2).to(DType::f32);
    stack.forward(Variable(noise), state, {});
    return stack.forward(Variable(x), state, {}).value();
  };
  const Tensor near = last(20), far = last(20 + 5000);
  // Behind the receptive field, 13 positions, nothing of what came before is seen.
  EXPECT_EQ(stack.receptive_field(), 13);
  for (std::int64_t i = 12 * 12; i < near.elements(); ++i) {
    EXPECT_EQ(near.data<float>()[i], far.data<float>()[i]) << i;
  }
  EXPECT_NE(std::memcmp(near.raw(), far.raw(), 12 * 12 * 4), 0);
}

TEST(Transformer, TheFutureNeverChangesThePast) {
  for (const Positions positions : {Positions::rotary, Positions::learned}) {
    for (const char* norm : {"none", "layer", "rms", "group", "batch"}) {
      TransformerOptions options = small(positions);
      options.norm = norm;
      options.groups = 2;
      const TransformerStack stack(options, DType::f32, {1, 0});
      const Tensor x = random_tensor({2, 70, 12}, 1).to(DType::f32);
      std::vector<Tensor> state;
      const Tensor before = stack.forward(Variable(x), state, {}).value();
      const Tensor other = x.clone();
      for (std::int64_t b = 0; b < 2; ++b) {
        for (std::int64_t i = 33 * 12; i < 70 * 12; ++i) other.data<float>()[b * 70 * 12 + i] *= -2;
      }
      state.clear();
      const Tensor after = stack.forward(Variable(other), state, {}).value();
      for (std::int64_t b = 0; b < 2; ++b) {
        const auto at = b * 70 * 12;
        EXPECT_EQ(std::memcmp(before.data<float>() + at, after.data<float>() + at, 33 * 12 * 4), 0)
            << norm;
      }
      EXPECT_NE(std::memcmp(before.raw(), after.raw(), before.bytes()), 0);
    }
  }
}

TEST(Transformer, DropoutIsForTrainingAndDiffersByStep) {
  const TransformerStack stack(small(), DType::f32, {1, 0});
  const Variable x(random_tensor({2, 9, 12}, 1).to(DType::f32));
  const auto run = [&](const ForwardOptions& pass) {
    std::vector<Tensor> state;
    return stack.forward(x, state, pass).value();
  };
  const auto same = [](const Tensor& a, const Tensor& b) {
    return std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
  };
  const ForwardOptions training{.training = true, .dropout = 0.3F, .seed = 1, .step = 2};
  ForwardOptions evaluation = training;
  evaluation.training = false;
  EXPECT_TRUE(same(run(evaluation), run({})));
  EXPECT_TRUE(same(run(training), run(training)));
  EXPECT_FALSE(same(run(training), run({})));
  ForwardOptions later = training;
  later.step = 3;
  EXPECT_FALSE(same(run(training), run(later)));
}

TEST(Transformer, RecomputingChangesNoBitAndBfloat16IsNear) {
  const TransformerStack stack(small(), DType::f32, {1, 0});
  const Variable x(random_tensor({2, 9, 12}, 1).to(DType::f32), true);
  const auto run = [&](const ForwardOptions& pass) {
    std::vector<Tensor> state;
    x.zero_grad();
    Tape tape;
    const Variable y = stack.forward(x, state, pass);
    tape.backward(mean(unit(reshape(y, Shape{18, 12}), parse_unit("tanh"))));
    return std::pair(y.value(), x.grad());
  };
  const auto plain = run({}), again = run({.recompute = true});
  EXPECT_EQ(std::memcmp(plain.first.raw(), again.first.raw(), plain.first.bytes()), 0);
  EXPECT_EQ(std::memcmp(plain.second.raw(), again.second.raw(), plain.second.bytes()), 0);
  if (!has_bfloat16_gemm()) return;
  const auto rounded = run({.precision = Precision::bf16});
  for (std::int64_t i = 0; i < plain.first.elements(); ++i) {
    EXPECT_NEAR(rounded.first.data<float>()[i], plain.first.data<float>()[i], 0.1);
  }
}

TEST(Transformer, LearnedPositionsWrapAtTheWindow) {
  TransformerOptions options = small(Positions::learned);
  const TransformerStack stack(options, DType::f64, {1, 0});
  std::vector<Tensor> state;
  stack.forward(Variable(random_tensor({2, 10, 12}, 1)), state, {});
  ASSERT_EQ(state.size(), 3U);
  EXPECT_EQ(state[2].data<std::int32_t>()[0], 3);
  EXPECT_EQ(state[2].data<std::int32_t>()[1], 3);
  EXPECT_EQ(state[0].shape(), (Shape{2, 6, 24}));
}

TEST(Transformer, RefusesWhatDoesNotFit) {
  const auto message = [](const TransformerOptions& options) {
    try {
      const TransformerStack stack(options, DType::f32, {1, 0});
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  TransformerOptions options = small();
  options.heads = 5;
  EXPECT_NE(message(options).find("5 heads do not divide a width of 12"), std::string::npos);
  options.heads = 4;
  EXPECT_NE(message(options).find("odd number"), std::string::npos) << message(options);
  options.positions = Positions::learned;
  EXPECT_EQ(message(options), "accepted");
  options.window = 0;
  EXPECT_NE(message(options).find("at least 1"), std::string::npos);
  options = small();
  options.norm = "instance";
  EXPECT_NE(message(options), "accepted");
  EXPECT_THROW(parse_enum<Positions>("sinusoidal"), UsageError);
  EXPECT_EQ(name_of(parse_enum<Positions>("learned")), "learned");

  const TransformerStack stack(small(Positions::learned), DType::f32, {1, 0});
  std::vector<Tensor> state;
  EXPECT_THROW(stack.forward(Variable(Tensor(Shape{2, 3, 8})), state, {}), Error);
  stack.forward(Variable(Tensor::zeros(Shape{2, 3, 12})), state, {});
  std::vector<Tensor> short_state{state[0]};
  EXPECT_THROW(stack.forward(Variable(Tensor::zeros(Shape{2, 3, 12})), short_state, {}), Error);
  EXPECT_THROW(stack.forward(Variable(Tensor::zeros(Shape{1, 3, 12})), state, {}), Error);

  // What each text sees of the last chunk, of another number of texts.
  const std::vector<std::uint8_t> starts = {0, 0, 0};
  const ForwardOptions documents{.starts = starts};
  state.clear();
  stack.forward(Variable(Tensor::zeros(Shape{3, 3, 12})), state, documents);
  state.back() = Tensor::zeros(Shape{2}, DType::i32);
  EXPECT_THROW(stack.forward(Variable(Tensor::zeros(Shape{3, 3, 12})), state, documents), Error);
}

}  // namespace
}  // namespace sluice
