#include "sluice/nn/recurrent.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "sluice/base/error.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

std::vector<RecurrentStackOptions> every_stack() {
  std::vector<RecurrentStackOptions> all;
  const auto add = [&](CellKind cell, auto change) -> RecurrentStackOptions& {
    RecurrentStackOptions o;
    o.layer.cell = cell;
    o.layer.input = 5;
    o.layer.hidden = 7;
    o.layers = 3;
    change(o.layer);
    return all.emplace_back(o);
  };
  const auto nothing = [](RecurrentOptions&) {};
  add(CellKind::rnn, nothing);
  add(CellKind::rnn, [](RecurrentOptions& o) { o.nonlinearity = {.f = Activation::relu}; });
  add(CellKind::rnn, [](RecurrentOptions& o) { o.nonlinearity = {.f = Activation::sigmoid}; });
  add(CellKind::rnn, [](RecurrentOptions& o) { o.nonlinearity = parse_unit("elu(0.5)"); });
  add(CellKind::lstm, nothing);
  add(CellKind::lstm, [](RecurrentOptions& o) { o.without_input_gate = true; });
  add(CellKind::lstm, [](RecurrentOptions& o) { o.without_forget_gate = true; });
  add(CellKind::lstm, [](RecurrentOptions& o) { o.without_output_gate = true; });
  add(CellKind::gru, nothing);
  add(CellKind::gru, [](RecurrentOptions& o) { o.reset = GruReset::before; });
  add(CellKind::indrnn, nothing);
  add(CellKind::indrnn, nothing).residual = true;
  add(CellKind::lstm, nothing).norm = "layer";
  add(CellKind::gru, nothing).norm = "batch";
  add(CellKind::mut1, nothing);
  add(CellKind::mut1, [](RecurrentOptions& o) { o.input = o.hidden; });
  return all;
}

Parameters parameters_of(const RecurrentStack& stack) {
  Parameters parameters;
  stack.collect(parameters, "rnn.");
  return parameters;
}

Variable input(const RecurrentStackOptions& o, std::int64_t batch, std::int64_t time) {
  return Variable(test::random_tensor(Shape{batch, time, o.layer.input}, 8), true);
}

TEST(RecurrentStack, ParameterCountIsTheOptions) {
  for (const RecurrentStackOptions& o : every_stack()) {
    const RecurrentStack stack(o, DType::f64, {1, 0});
    EXPECT_EQ(parameter_count(parameters_of(stack)), parameter_count(o)) << name_of(o.layer.cell);
  }
  RecurrentStackOptions lstm;
  lstm.layer.input = 5;
  lstm.layer.hidden = 7;
  EXPECT_EQ(parameter_count(lstm), 4 * 7 * (5 + 7 + 1));
}

TEST(RecurrentStack, ParametersAreNamedAndShapedAsPyTorchs) {
  const auto names = [](CellKind cell, GruReset reset) {
    RecurrentStackOptions o;
    o.layer = {.cell = cell, .input = 2, .hidden = 3, .reset = reset};
    std::string all;
    for (const Parameter& p : parameters_of(RecurrentStack(o, DType::f32, {1, 0}))) {
      all += p.name.substr(p.name.find('.') + 1) + p.variable.shape().str() + " ";
    }
    return all;
  };
  EXPECT_EQ(names(CellKind::lstm, GruReset::after),
            "0.weight_ih[12, 2] 0.weight_hh[12, 3] 0.bias_ih[12] ");
  EXPECT_EQ(names(CellKind::gru, GruReset::after),
            "0.weight_ih[9, 2] 0.weight_hh[9, 3] 0.bias_ih[9] 0.bias_hh[9] ");
  EXPECT_EQ(names(CellKind::gru, GruReset::before),
            "0.weight_ih[9, 2] 0.weight_hh[9, 3] 0.bias_ih[9] ");
  EXPECT_EQ(names(CellKind::indrnn, GruReset::after),
            "0.weight_ih[3, 2] 0.weight_hh[3] 0.bias_ih[3] ");
  EXPECT_EQ(names(CellKind::mut1, GruReset::after),
            "0.weight_ih[9, 2] 0.weight_hh[6, 3] 0.bias_ih[9] ");
}

TEST(RecurrentStack, GradientsAreThoseOfCentralDifferences) {
  const ForwardOptions how{.training = true, .dropout = 0.3F, .seed = 5, .step = 7};
  for (RecurrentStackOptions o : every_stack()) {
    for (const bool variational : {false, true}) {
      SCOPED_TRACE(name_of(o.layer.cell));
      o.variational = variational;
      const RecurrentStack stack(o, DType::f64, {4, 0});
      const Variable x = input(o, 2, 4);
      std::vector<Variable> inputs{x};
      for (const Parameter& p : parameters_of(stack)) {
        if (!p.variable.requires_grad()) continue;  // running statistics
        inputs.push_back(p.variable);
        // Away from relu's kink, where dropped inputs and biases of 0 would be.
        if (p.name.find("bias") == std::string::npos) continue;
        p.variable.set_value(test::random_tensor(p.variable.shape(), 70, 0.5));
      }
      test::check_gradients(
          inputs,
          [&] {
            std::vector<Tensor> state;
            return test::weighted_sum(stack.forward(x, state, how));
          },
          1e-7, 12);
    }
  }
}

TEST(RecurrentStack, StreamingStepsEqualTheBatch) {
  for (const RecurrentStackOptions& o : every_stack()) {
    const RecurrentStack stack(o, DType::f64, {4, 0});
    const Variable x = input(o, 1, 6);
    std::vector<Tensor> whole, state;
    const Tensor y = stack.forward(x, whole).value();
    for (std::int64_t t = 0; t < 6; ++t) {
      const Tensor step = x.value()
                              .reshape(Shape{6, o.layer.input})
                              .rows(t, t + 1)
                              .reshape(Shape{1, 1, o.layer.input});
      const Tensor out = stack.forward(Variable(step), state).value();
      for (std::int64_t j = 0; j < o.layer.hidden; ++j) {
        EXPECT_NEAR(out.data<double>()[j], y.data<double>()[t * o.layer.hidden + j], 1e-14);
      }
    }
    ASSERT_EQ(state.size(), stack.state_count());
    for (std::size_t i = 0; i < state.size(); ++i) {
      for (std::int64_t j = 0; j < o.layer.hidden; ++j) {
        EXPECT_NEAR(state[i].data<double>()[j], whole[i].data<double>()[j], 1e-14);
      }
    }
  }
}

TEST(RecurrentStack, StateIsCheckedAndCarriesNoGradient) {
  RecurrentStackOptions o;
  o.layer.input = o.layer.hidden = 3;
  const RecurrentStack stack(o, DType::f64, {4, 0});
  EXPECT_EQ(stack.state_count(), 2U);
  std::vector<Tensor> state(3);
  EXPECT_THROW(stack.forward(input(o, 2, 2), state), Error);
  state = {Tensor::zeros(Shape{1, 3}, DType::f64), {}};
  EXPECT_THROW(stack.forward(input(o, 2, 2), state), Error);
  const Variable first = input(o, 2, 2);
  state.clear();
  Tape tape;
  stack.forward(first, state);
  tape.backward(sum(stack.forward(input(o, 2, 2), state)));
  EXPECT_FALSE(first.grad().defined());
}

TEST(RecurrentStack, DropoutIsBetweenLayersOnly) {
  RecurrentStackOptions o;
  o.layer = {.cell = CellKind::gru, .input = 4, .hidden = 6};
  const ForwardOptions how{.training = true, .dropout = 0.5F, .seed = 1, .step = 3};
  const auto differs = [&](std::int64_t layers, bool variational) {
    o.layers = layers;
    o.variational = variational;
    const RecurrentStack stack(o, DType::f64, {4, 0});
    std::vector<Tensor> a, b;
    const Tensor plain = stack.forward(input(o, 2, 5), a).value();
    const Tensor dropped = stack.forward(input(o, 2, 5), b, how).value();
    return !std::ranges::equal(plain.span<double>(), dropped.span<double>());
  };
  EXPECT_FALSE(differs(1, false));
  EXPECT_FALSE(differs(1, true));
  EXPECT_TRUE(differs(2, false));
  EXPECT_TRUE(differs(2, true));
}

TEST(RecurrentLayer, InitialValues) {
  RecurrentOptions o{.cell = CellKind::lstm, .input = 40, .hidden = 64, .forget_bias = 1.5};
  const auto value = [&](std::size_t which, InitKey key = {9, 2}) {
    Parameters parameters;
    RecurrentLayer(o, DType::f64, key).collect(parameters, "");
    return parameters.at(which).variable.value();
  };
  for (const std::size_t which : {0U, 1U}) {
    double least = 0, most = 0, sum = 0;
    const Tensor weights = value(which);
    for (const double w : weights.span<double>()) {
      least = std::min(least, w);
      most = std::max(most, w);
      sum += w;
    }
    EXPECT_GE(least, -0.125);
    EXPECT_LT(most, 0.125);
    EXPECT_LT(least, -0.124);
    EXPECT_GT(most, 0.124);
    EXPECT_NEAR(sum / static_cast<double>(weights.elements()), 0, 0.004);
  }
  EXPECT_NE(value(0).data<double>()[0], value(1).data<double>()[0]);
  for (std::int64_t i = 0; i < 256; ++i) {
    EXPECT_EQ(value(2).data<double>()[i], i / 64 == 1 ? 1.5 : 0.0);
  }
  EXPECT_EQ(value(2, {}).data<double>()[64], 1.5);
  EXPECT_EQ(value(2, {std::nullopt, 0}).data<double>()[64], 0) << "no seed gives zeros";
  o.without_input_gate = true;
  EXPECT_EQ(value(2).data<double>()[0], 1.5);
  EXPECT_EQ(value(2).data<double>()[64], 0);
  o.without_forget_gate = true;
  EXPECT_EQ(value(2).data<double>()[0], 0);

  o = {.cell = CellKind::indrnn, .input = 40, .hidden = 64, .recurrent_bound = 0.5};
  const Tensor recurrent = value(1);
  const auto u = recurrent.span<double>();
  EXPECT_GE(*std::ranges::min_element(u), 0);
  EXPECT_LE(*std::ranges::max_element(u), 0.5);
  EXPECT_GT(*std::ranges::max_element(u), 0.4);
}

TEST(RecurrentLayer, ConstrainClampsRecurrentWeightsOfIndRnnOnly) {
  RecurrentStackOptions o;
  o.layer = {.cell = CellKind::indrnn, .input = 2, .hidden = 3, .recurrent_bound = 0.75};
  o.layers = 2;
  for (const bool bounded : {true, false}) {
    if (!bounded) o.layer.recurrent_bound = 0;
    const RecurrentStack stack(o, DType::f32, {1, 0});
    const Parameters parameters = parameters_of(stack);
    for (const Parameter& p : parameters) {
      std::ranges::fill(p.variable.value().span<float>(), -2.0F);
    }
    stack.constrain();
    for (const Parameter& p : parameters) {
      const bool clamped = bounded && p.name.ends_with("weight_hh");
      for (const float value : p.variable.value().span<float>()) {
        EXPECT_EQ(value, clamped ? -0.75F : -2.0F) << p.name;
      }
    }
  }
}

TEST(RecurrentStack, ResidualAddsTheInputWhereWidthsAgree) {
  RecurrentStackOptions o;
  o.layer = {.cell = CellKind::indrnn, .input = 3, .hidden = 3};
  const Variable x = input(o, 2, 4);
  std::vector<Tensor> a, b;
  const Tensor plain = RecurrentStack(o, DType::f64, {1, 0}).forward(x, a).value();
  o.residual = true;
  const Tensor sum = RecurrentStack(o, DType::f64, {1, 0}).forward(x, b).value();
  for (std::int64_t i = 0; i < sum.elements(); ++i) {
    EXPECT_EQ(sum.data<double>()[i], plain.data<double>()[i] + x.value().data<double>()[i]);
  }
  o.layer.input = 2;
  std::vector<Tensor> c;
  const Variable narrow = input(o, 2, 4);
  EXPECT_EQ(RecurrentStack(o, DType::f64, {1, 0}).forward(narrow, c).shape(), (Shape{2, 4, 3}));
}

TEST(RecurrentLayer, RefusesMalformedOptions) {
  const auto refused = [](auto change) {
    RecurrentOptions o{.input = 2, .hidden = 3};
    change(o);
    EXPECT_THROW(RecurrentLayer(o, DType::f32, {1, 0}), UsageError);
    EXPECT_THROW(parameter_count(o), UsageError);
  };
  refused([](RecurrentOptions& o) { o.input = 0; });
  refused([](RecurrentOptions& o) { o.hidden = -1; });
  refused([](RecurrentOptions& o) {
    o.cell = CellKind::rnn;
    o.nonlinearity = parse_unit("glu");
  });
  refused([](RecurrentOptions& o) {
    o.cell = CellKind::indrnn;
    o.recurrent_bound = std::nan("");
  });
  RecurrentStackOptions none;
  none.layer = {.input = 2, .hidden = 3};
  none.layers = 0;
  EXPECT_THROW(RecurrentStack(none, DType::f32, {1, 0}), UsageError);
}

TEST(Cells, NamesAreParsed) {
  std::set<std::string> names;
  for (const CellKind cell :
       {CellKind::rnn, CellKind::lstm, CellKind::gru, CellKind::indrnn, CellKind::mut1}) {
    EXPECT_EQ(parse_enum<CellKind>(name_of(cell)), cell);
    names.insert(name_of(cell));
  }
  EXPECT_EQ(names.size(), 5U);
  try {
    parse_enum<CellKind>("lstn");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean lstm?"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace sluice
