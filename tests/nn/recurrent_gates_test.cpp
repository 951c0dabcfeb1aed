// The gates of recurrent layers against plain loops.

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "sluice/nn/recurrent.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

constexpr std::int64_t B = 2, T = 3, C = 2, H = 3;

struct Expected {
  std::string name;
  std::int64_t block;
  bool recurrent = true;
};

void expect_gates(const RecurrentOptions& options, const std::vector<Expected>& expected,
                  bool with_state) {
  const RecurrentLayer layer(options, DType::f64, {5, 0});
  Parameters parameters;
  layer.collect(parameters, "");
  const auto value = [&](const std::string& name, std::int64_t index) {
    for (const Parameter& each : parameters) {
      if (each.name == name) return each.variable.value().data<double>()[index];
    }
    return 0.0;  // a bias there is not
  };
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].variable.value().copy_from(
        test::random_tensor(parameters[i].variable.shape(), static_cast<std::uint32_t>(10 + i)));
  }
  const Variable x(test::random_tensor(Shape{B, T, C}, 1));
  std::vector<Tensor> state;
  const Tensor before = with_state ? test::random_tensor(Shape{B, H}, 2, 0.5) : Tensor();
  if (with_state) {
    state.push_back(before);
    if (layer.state_count() == 2) state.push_back(test::random_tensor(Shape{B, H}, 3, 0.5));
  }
  const Variable y = layer.forward(x, state);
  const auto gates = layer.gates(x, before, y);
  ASSERT_EQ(gates.size(), expected.size());
  for (std::size_t g = 0; g < gates.size(); ++g) {
    EXPECT_EQ(gates[g].first, expected[g].name);
    const auto values = gates[g].second.value().span<double>();
    for (std::int64_t r = 0; r < B * T; ++r) {
      for (std::int64_t j = 0; j < H; ++j) {
        const std::int64_t row = expected[g].block * H + j;
        double z = value("bias_ih", row);
        for (std::int64_t c = 0; c < C; ++c) {
          z += value("weight_ih", row * C + c) * x.value().data<double>()[r * C + c];
        }
        if (expected[g].recurrent) {
          z += value("bias_hh", row);
          for (std::int64_t i = 0; i < H; ++i) {
            const double h = r % T > 0    ? y.value().data<double>()[(r - 1) * H + i]
                             : with_state ? before.data<double>()[r / T * H + i]
                                          : 0.0;
            z += value("weight_hh", row * H + i) * h;
          }
        }
        EXPECT_NEAR(values[static_cast<std::size_t>(r * H + j)], 1 / (1 + std::exp(-z)), 1e-12)
            << gates[g].first << ", row " << r;
      }
    }
  }
}

TEST(RecurrentGates, EqualPlainLoops) {
  RecurrentOptions options{.input = C, .hidden = H};
  for (const bool with_state : {false, true}) {
    options.cell = CellKind::lstm;
    expect_gates(options, {{"input", 0}, {"forget", 1}, {"output", 3}}, with_state);
    options.without_input_gate = true;
    expect_gates(options, {{"forget", 0}, {"output", 2}}, with_state);
    options.without_input_gate = false;
    options.without_output_gate = true;
    expect_gates(options, {{"input", 0}, {"forget", 1}}, with_state);
    options.without_output_gate = false;
    options.cell = CellKind::gru;
    for (const GruReset reset : {GruReset::before, GruReset::after}) {
      options.reset = reset;
      expect_gates(options, {{"reset", 0}, {"update", 1}}, with_state);
    }
    options.cell = CellKind::mut1;
    expect_gates(options, {{"reset", 0}, {"update", 1, false}}, with_state);
    for (const CellKind cell : {CellKind::rnn, CellKind::indrnn}) {
      options.cell = cell;
      expect_gates(options, {}, with_state);
    }
  }
}

}  // namespace
}  // namespace sluice
