#include "sluice/autograd/recurrent.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "sluice/autograd/dropout.hpp"
#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/tensor/gemm.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

using State = std::vector<Tensor>;

// One way to run a layer: blocks of H rows in the weights, and the call.
struct Cell {
  std::string name;
  std::int64_t ih, hh, bias;
  bool second_bias;
  std::size_t states;
  std::function<Variable(const Variable&, const RecurrentWeights&, State&, Precision)> run;
};

Cell lstm_cell(std::string name, LstmGates gates) {
  const std::int64_t blocks = gates.blocks();
  return {std::move(name),
          blocks,
          blocks,
          blocks,
          true,
          2,
          [gates](const Variable& x, const RecurrentWeights& w, State& s, Precision p) {
            return lstm_layer(x, w, gates, s[0], s[1], p);
          }};
}

Cell rnn_cell(std::string name, const Unit& f) {
  return {std::move(name),
          1,
          1,
          1,
          true,
          1,
          [f](const Variable& x, const RecurrentWeights& w, State& s, Precision p) {
            return rnn_layer(x, w, f, s[0], p);
          }};
}

Cell gru_cell(std::string name, GruReset reset) {
  return {std::move(name),
          3,
          3,
          3,
          true,
          1,
          [reset](const Variable& x, const RecurrentWeights& w, State& s, Precision p) {
            return gru_layer(x, w, reset, s[0], p);
          }};
}

std::vector<Cell> all_cells() {
  return {rnn_cell("rnn_tanh", {.f = Activation::tanh}),
          rnn_cell("rnn_relu", {.f = Activation::relu}),
          rnn_cell("rnn_sigmoid", {.f = Activation::sigmoid}),
          rnn_cell("rnn_leaky", parse_unit("leaky_relu(0.2)")),
          rnn_cell("rnn_gelu", {.f = Activation::gelu}),
          lstm_cell("lstm", {}),
          lstm_cell("lstm_without_input", {false, true, true}),
          lstm_cell("lstm_without_forget", {true, false, true}),
          lstm_cell("lstm_without_output", {true, true, false}),
          lstm_cell("lstm_without_gates", {false, false, false}),
          gru_cell("gru_after", GruReset::after),
          gru_cell("gru_before", GruReset::before),
          {"mut1_projected", 3, 2, 3, false, 1,
           [](const Variable& x, const RecurrentWeights& w, State& s, Precision p) {
             return mut1_layer(x, w, s[0], p);
           }},
          {"mut1", 2, 2, 3, false, 1,
           [](const Variable& x, const RecurrentWeights& w, State& s, Precision p) {
             return mut1_layer(x, w, s[0], p);
           }},
          {"indrnn", 1, 0, 1, false, 1,
           [](const Variable& x, const RecurrentWeights& w, State& s, Precision p) {
             return indrnn_layer(x, w, s[0], p);
           }}};
}

// Inputs of a call, all parameters present.
struct Example {
  Variable x;
  RecurrentWeights w;
  State first;

  Example(const Cell& cell, std::int64_t batch, std::int64_t time, std::int64_t inputs,
          std::int64_t hidden) {
    auto random = [stream = 40U](Shape shape, double deviation) mutable {
      return test::random_tensor(shape, stream++, deviation);
    };
    // Narrow enough a spread that a relu without bounds does not explode.
    const double spread = 1 / std::sqrt(static_cast<double>(hidden));
    x = Variable(random(Shape{batch, time, cell.name == "mut1" ? hidden : inputs}, 1), true);
    w.weight_ih = Variable(random(Shape{cell.ih * hidden, x.shape()[2]}, spread), true);
    w.weight_hh = Variable(
        random(cell.hh == 0 ? Shape{hidden} : Shape{cell.hh * hidden, hidden}, spread), true);
    w.bias_ih = Variable(random(Shape{cell.bias * hidden}, 0.5), true);
    if (cell.second_bias) w.bias_hh = Variable(random(Shape{cell.bias * hidden}, 0.5), true);
    for (std::size_t i = 0; i < cell.states; ++i) {
      first.push_back(random(Shape{batch, hidden}, 0.5));
    }
  }

  std::vector<Variable> inputs() const {
    std::vector<Variable> all{x, w.weight_ih, w.weight_hh, w.bias_ih};
    if (w.bias_hh.defined()) all.push_back(w.bias_hh);
    return all;
  }

  Example as_float() const {
    Example copy = *this;
    for (Variable* v :
         {&copy.x, &copy.w.weight_ih, &copy.w.weight_hh, &copy.w.bias_ih, &copy.w.bias_hh}) {
      if (v->defined()) *v = Variable(v->value().to(DType::f32), true);
    }
    for (Tensor& state : copy.first) state = state.to(DType::f32);
    return copy;
  }
};

// Steps [begin, end) of x.
Variable steps_of(const Variable& x, std::int64_t begin, std::int64_t end) {
  const Shape in = x.shape();
  const Tensor part(Shape{in[0], end - begin, in[2]}, x.dtype());
  for (std::int64_t b = 0; b < in[0]; ++b) {
    part.rows(b, b + 1)
        .reshape(Shape{end - begin, in[2]})
        .copy_from(x.value().rows(b, b + 1).reshape(Shape{in[1], in[2]}).rows(begin, end));
  }
  return Variable(part);
}

double element(const Tensor& x, std::int64_t i) {
  return dispatch_float(
      x.dtype(), [&](auto zero) { return static_cast<double>(x.data<decltype(zero)>()[i]); });
}

void expect_near(const Tensor& got, const Tensor& want, double tolerance, const std::string& what) {
  ASSERT_EQ(got.shape().str(), want.shape().str()) << what;
  for (std::int64_t i = 0; i < got.elements(); ++i) {
    const double e = element(want, i);
    ASSERT_NEAR(element(got, i), e, tolerance * std::max(1.0, std::abs(e)))
        << what << ", element " << i;
  }
}

class RecurrentOp : public testing::TestWithParam<std::size_t> {
 protected:
  const Cell cell = all_cells()[GetParam()];
};

TEST_P(RecurrentOp, GradientsAreThoseOfCentralDifferences) {
  for (const auto& [batch, time, inputs, hidden] :
       {std::tuple<int, int, int, int>{2, 4, 3, 5}, {1, 1, 4, 1}, {3, 6, 2, 3}}) {
    const Example e(cell, batch, time, inputs, hidden);
    test::check_gradients(e.inputs(), [&] {
      State state = e.first;
      return test::weighted_sum(cell.run(e.x, e.w, state, Precision::f32));
    });
  }
}

TEST_P(RecurrentOp, GradientsWithoutBiasesAndStates) {
  Example e(cell, 2, 3, 3, 4);
  e.w.bias_ih = e.w.bias_hh = {};
  test::check_gradients({e.x, e.w.weight_ih, e.w.weight_hh}, [&] {
    State state(cell.states);
    return test::weighted_sum(cell.run(e.x, e.w, state, Precision::f32));
  });
}

// Widths around the panels' 32 columns, batches around the kernels' rows, on one thread and two:
// values to 5e-6, gradients to 5e-5 of float64 (most to 2e-6 and 2e-5; an LSTM without gates is a
// sum of all that came).
TEST_P(RecurrentOp, FloatFollowsDouble) {
  const int before = thread_count();
  for (const auto& [batch, time, inputs, hidden, threads] :
       {std::tuple<int, int, int, int, int>{1, 5, 7, 33, 1},
        {16, 9, 20, 64, 2},
        {5, 4, 31, 100, 2},
        {130, 5, 3, 6, 2},
        {9, 3, 8, 40, 1}}) {
    set_thread_count(threads);
    const Example wide(cell, batch, time, inputs, hidden);
    const Example narrow = wide.as_float();
    State wide_state = wide.first, narrow_state = narrow.first;
    Tape tape;
    const Variable y = cell.run(wide.x, wide.w, wide_state, Precision::f32);
    tape.backward(test::weighted_sum(y));
    const Variable z = cell.run(narrow.x, narrow.w, narrow_state, Precision::f32);
    const Tensor weights = test::random_tensor(Shape{1, z.value().elements()}, 99);
    tape.backward(reshape(
        linear(reshape(z, Shape{1, z.value().elements()}), Variable(weights.to(DType::f32)), {}),
        Shape{1}));
    expect_near(z.value(), y.value(), 5e-6, cell.name);
    for (std::size_t i = 0; i < wide_state.size(); ++i) {
      expect_near(narrow_state[i], wide_state[i], 5e-6, cell.name + " state");
    }
    for (std::size_t i = 0; i < wide.inputs().size(); ++i) {
      expect_near(narrow.inputs()[i].grad(), wide.inputs()[i].grad(), 5e-5,
                  cell.name + " gradient " + std::to_string(i));
    }
  }
  set_thread_count(before);
}

TEST_P(RecurrentOp, ChunksWithCarriedStateEqualTheWhole) {
  const Example e(cell, 3, 7, 4, 6);
  State whole = e.first;
  const Tensor y = cell.run(e.x, e.w, whole, Precision::f32).value();
  for (const std::vector<std::int64_t>& ends :
       {std::vector<std::int64_t>{3, 7}, {1, 2, 3, 4, 5, 6, 7}, {6, 7}}) {
    State state = e.first;
    std::int64_t begin = 0;
    for (const std::int64_t end : ends) {
      const Variable part = cell.run(steps_of(e.x, begin, end), e.w, state, Precision::f32);
      expect_near(part.value(), steps_of(Variable(y), begin, end).value(), 1e-14, cell.name);
      begin = end;
    }
    for (std::size_t i = 0; i < state.size(); ++i) {
      expect_near(state[i], whole[i], 1e-14, cell.name + " state");
    }
  }
}

// A long chunk goes through panels, single steps through general products.
TEST_P(RecurrentOp, FloatStepsEqualTheWhole) {
  const Example e = Example(cell, 2, 9, 5, 37).as_float();
  State whole = e.first, state = e.first;
  const Tensor y = cell.run(e.x, e.w, whole, Precision::f32).value();
  for (std::int64_t t = 0; t < 9; ++t) {
    const Variable step = cell.run(steps_of(e.x, t, t + 1), e.w, state, Precision::f32);
    expect_near(step.value(), steps_of(Variable(y), t, t + 1).value(), 2e-6, cell.name);
  }
}

TEST_P(RecurrentOp, TheFutureDoesNotReachThePast) {
  const Example e = Example(cell, 2, 8, 5, 6).as_float();
  State state = e.first;
  const Tensor y = cell.run(e.x, e.w, state, Precision::f32).value();
  const Tensor changed = e.x.value().clone();
  for (std::int64_t b = 0; b < 2; ++b) {
    for (std::int64_t i = 5 * e.x.shape()[2]; i < 8 * e.x.shape()[2]; ++i) {
      changed.data<float>()[b * 8 * e.x.shape()[2] + i] += 3;
    }
  }
  state = e.first;
  const Tensor z = cell.run(Variable(changed), e.w, state, Precision::f32).value();
  expect_near(steps_of(Variable(z), 0, 5).value(), steps_of(Variable(y), 0, 5).value(), 0,
              cell.name);
}

TEST_P(RecurrentOp, NanStaysInItsRow) {
  const Example e = Example(cell, 3, 5, 4, 6).as_float();
  State state = e.first;
  const Tensor clean = cell.run(e.x, e.w, state, Precision::f32).value();
  const std::int64_t row = 5 * e.x.shape()[2];
  e.x.value().data<float>()[row + 2 * e.x.shape()[2]] = std::numeric_limits<float>::quiet_NaN();
  state = e.first;
  const Tensor y = cell.run(e.x, e.w, state, Precision::f32).value();
  for (std::int64_t i = 0; i < y.elements(); ++i) {
    const std::int64_t b = i / 30, t = i / 6 % 5;
    if (b == 1 && t >= 2) {
      EXPECT_TRUE(std::isnan(y.data<float>()[i])) << i;
    } else {
      EXPECT_EQ(y.data<float>()[i], clean.data<float>()[i]) << i;
    }
  }
}

TEST_P(RecurrentOp, SaturatedGatesAreFinite) {
  const Example e = Example(cell, 2, 6, 3, 5).as_float();
  for (float& value : e.x.value().span<float>()) value = value > 0 ? 150.0F : -150.0F;
  State state = e.first;
  Tape tape;
  tape.backward(sum(cell.run(e.x, e.w, state, Precision::f32)));
  for (const Variable& input : e.inputs()) {
    for (const float g : input.grad().span<float>()) EXPECT_TRUE(std::isfinite(g));
  }
}

// Both operands of every product rounded to 8 bits: 3e-2 of values of order 1, 5e-3 of the mean's
// gradients, where a relu may change sides.
TEST_P(RecurrentOp, Bfloat16IsCloseAndStepsAgree) {
  if (!has_bfloat16_gemm()) GTEST_SKIP();
  const Example e = Example(cell, 4, 6, 16, 48).as_float();
  State exact = e.first, rounded = e.first, stepped = e.first;
  Tape tape;
  const Variable y = cell.run(e.x, e.w, exact, Precision::f32);
  tape.backward(mean(y));
  std::vector<Tensor> gradients;
  for (const Variable& input : e.inputs()) {
    gradients.push_back(input.grad().clone());
    input.zero_grad();
  }
  const Variable z = cell.run(e.x, e.w, rounded, Precision::bf16);
  tape.backward(mean(z));
  expect_near(z.value(), y.value(), 3e-2, cell.name);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    expect_near(e.inputs()[i].grad(), gradients[i], 5e-3, cell.name + " gradient");
  }
  const NoGrad guard;
  for (std::int64_t t = 0; t < 6; ++t) {
    const Variable step = cell.run(steps_of(e.x, t, t + 1), e.w, stepped, Precision::bf16);
    // Roundings of h that differ at the edge between two bfloat16 numbers are a bfloat16 ULP apart.
    expect_near(step.value(), steps_of(Variable(z.value()), t, t + 1).value(), 4e-3, cell.name);
  }
}

TEST_P(RecurrentOp, TheSameBitsEachTime) {
  const Example e = Example(cell, 5, 8, 9, 70).as_float();
  std::vector<Tensor> first;
  for (int run = 0; run < 3; ++run) {
    State state = e.first;
    for (const Variable& input : e.inputs()) input.zero_grad();
    Tape tape;
    tape.backward(sum(cell.run(e.x, e.w, state, Precision::f32)));
    for (std::size_t i = 0; i < e.inputs().size(); ++i) {
      if (run == 0) first.push_back(e.inputs()[i].grad().clone());
      expect_near(e.inputs()[i].grad(), first[i], 0, cell.name);
    }
  }
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_P(RecurrentOp, RefusesWhatDoesNotFit) {
  const auto message = [&](const std::function<void(Example&)>& spoil) {
    Example e(cell, 2, 3, 4, 5);
    spoil(e);
    return refusal([&] { cell.run(e.x, e.w, e.first, Precision::f32); });
  };
  const auto vector = [](std::int64_t n) { return Variable(Tensor::zeros(Shape{n}, DType::f64)); };
  const auto matrix = [](std::int64_t m, std::int64_t n) {
    return Variable(Tensor::zeros(Shape{m, n}, DType::f64));
  };
  EXPECT_EQ(message([](Example&) {}), "");
  EXPECT_NE(message([&](Example& e) { e.x = matrix(2, 4); }).find("x must be [B, T, C]"),
            std::string::npos);
  EXPECT_NE(message([&](Example& e) { e.w.weight_ih = matrix(7, 4); }).find("weight_ih must be ["),
            std::string::npos);
  EXPECT_NE(message([&](Example& e) { e.w.weight_hh = matrix(7, 5); }).find("weight_"),
            std::string::npos);
  EXPECT_NE(message([&](Example& e) { e.w.bias_ih = vector(2); }).find("a bias must be ["),
            std::string::npos);
  EXPECT_NE(message([&](Example& e) {
              e.first[0] = matrix(1, 5).value();
            }).find("h must be [2, 5], got [1, 5]"),
            std::string::npos);
  EXPECT_NE(
      message([&](Example& e) { e.first.back() = e.first.back().to(DType::f32); }).find("float32"),
      std::string::npos);
  for (const Shape empty : {Shape{0, 3, 4}, Shape{2, 0, 4}}) {
    EXPECT_NE(message([&](Example& e) {
                e.x = Variable(Tensor(empty, DType::f64));
              }).find("at least one element"),
              std::string::npos);
  }
  EXPECT_NE(message([](Example& e) {
              e.w.bias_ih = Variable(e.w.bias_ih.value().to(DType::f32));
            }).find("a parameter is float32"),
            std::string::npos);
  if (!cell.second_bias) {
    EXPECT_NE(message([&](Example& e) { e.w.bias_hh = e.w.bias_ih; }).find("no bias_hh"),
              std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(Cells, RecurrentOp, testing::Range<std::size_t>(0, all_cells().size()),
                         [](const auto& param) { return all_cells()[param.param].name; });

TEST(RecurrentOps, RnnTakesActivationsOnly) {
  const Cell cell = rnn_cell("glu", parse_unit("glu"));
  const Example e(cell, 1, 1, 1, 1);
  State state = e.first;
  EXPECT_THROW(cell.run(e.x, e.w, state, Precision::f32), UsageError);
}

TEST(RecurrentOps, DropoutOverTimeHasOneMaskPerStream) {
  const Variable x(test::random_tensor(Shape{3, 4, 50}, 5), true);
  const Dropout drop{0.5F, 3, 1, 2};
  Tape tape;
  const Variable y = dropout_over_time(x, drop);
  tape.backward(sum(y));
  std::int64_t kept = 0, differing = 0;
  for (std::int64_t i = 0; i < 600; ++i) {
    const double factor = x.grad().data<double>()[i];
    EXPECT_TRUE(factor == 0 || factor == 2);
    EXPECT_EQ(y.value().data<double>()[i], factor * x.value().data<double>()[i]);
    const std::int64_t b = i / 200, c = i % 50;
    EXPECT_EQ(factor, x.grad().data<double>()[b * 200 + c]) << "every step has the first's mask";
    kept += factor > 0 ? 1 : 0;
    differing += factor != x.grad().data<double>()[c] ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(kept), 300, 75);
  EXPECT_GT(differing, 100) << "streams have masks of their own";
  EXPECT_THROW(dropout_over_time(reshape(x, Shape{12, 50}), drop), Error);
}

}  // namespace
}  // namespace sluice
