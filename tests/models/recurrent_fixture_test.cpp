// Recurrent layers against PyTorch (tests/golden/README.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/nn/recurrent.hpp"

namespace sluice {
namespace {

using Fixture = std::map<std::string, Tensor>;

const Fixture& fixture() {
  static const Fixture instance = [] {
    Fixture all;
    for (auto& [name, tensor] :
         read_safetensors(SLUICE_SOURCE_DIR "/tests/golden/recurrent.safetensors")) {
      all.emplace(name, tensor);
    }
    return all;
  }();
  return instance;
}

RecurrentOptions options_of(const std::string& name) {
  RecurrentOptions o{.input = 6, .hidden = 7};
  const std::string gates = name.starts_with("lstm_") ? name.substr(5) : "";
  o.cell = parse_enum<CellKind>(name.substr(0, name.find('_')));
  if (name == "rnn_relu") o.nonlinearity = {.f = Activation::relu};
  if (name == "gru_before") o.reset = GruReset::before;
  o.without_input_gate = gates.find('i') != std::string::npos;
  o.without_forget_gate = gates.find('f') != std::string::npos;
  o.without_output_gate = gates.find('o') != std::string::npos;
  return o;
}

double element(const Tensor& x, std::int64_t i) {
  return dispatch_float(
      x.dtype(), [&](auto zero) { return static_cast<double>(x.data<decltype(zero)>()[i]); });
}

void expect_close(const Tensor& got, const Tensor& want, double tolerance,
                  const std::string& what) {
  ASSERT_EQ(got.elements(), want.elements()) << what;
  for (std::int64_t i = 0; i < got.elements(); ++i) {
    const double e = want.data<double>()[i];
    ASSERT_NEAR(element(got, i), e, tolerance * std::max(1.0, std::abs(e)))
        << what << ", element " << i;
  }
}

class RecurrentFixture : public testing::TestWithParam<std::tuple<std::string, DType>> {
 protected:
  const std::string name = std::get<0>(GetParam());
  const DType dtype = std::get<1>(GetParam());

  Tensor golden(const std::string& key) const { return fixture().at(name + "." + key); }
  bool has(const std::string& key) const { return fixture().contains(name + "." + key); }

  // A parameter of ours from the file's: where we have one bias, the sum of PyTorch's two.
  Tensor imported(const std::string& parameter, bool two_biases) const {
    Tensor value = golden(parameter).clone();
    const auto at = parameter.find("bias_ih");
    if (at != std::string::npos && !two_biases) {
      const std::string second = parameter.substr(0, at) + "bias_hh";
      if (has(second)) {
        kernels::add_scaled(value.data<double>(), golden(second).data<double>(), 1.0,
                            static_cast<std::size_t>(value.elements()));
      }
    }
    return value.to(dtype);
  }
};

// Two layers of each cell, from states that are not zero. float64 to 1e-12, float32 to 1e-6 in
// values and 5e-6 in gradients.
TEST_P(RecurrentFixture, ValuesStatesAndGradients) {
  const double value_tolerance = dtype == DType::f64 ? 1e-12 : 1e-6;
  const double gradient_tolerance = dtype == DType::f64 ? 1e-12 : 5e-6;
  RecurrentStackOptions options{options_of(name), 2};
  const bool two_biases = name == "gru";
  const RecurrentStack stack(options, dtype, {std::nullopt, 0});
  Parameters parameters;
  stack.collect(parameters, "");
  for (const Parameter& p : parameters) p.variable.set_value(imported(p.name, two_biases));

  const Variable x(golden("x").to(dtype), true);
  std::vector<Tensor> state;
  for (std::int64_t layer = 0; layer < 2; ++layer) {
    for (const char* kind : {"h", "c"}) {
      if (*kind == 'c' && stack.state_count() == 2) continue;
      state.push_back(golden(kind).rows(layer, layer + 1).reshape(Shape{3, 7}).to(dtype));
    }
  }
  Tape tape;
  const Variable y = stack.forward(x, state);
  expect_close(y.value(), golden("y"), value_tolerance, "y");
  for (std::int64_t layer = 0; layer < 2; ++layer) {
    const std::size_t at = static_cast<std::size_t>(layer) * stack.state_count() / 2;
    expect_close(state[at], golden("last").rows(layer, layer + 1), value_tolerance, "last state");
  }
  const Shape flat{1, y.value().elements()};
  tape.backward(reshape(
      linear(reshape(y, flat), Variable(golden("dy").reshape(flat).to(dtype)), {}), Shape{1}));
  expect_close(x.grad(), golden("dx"), gradient_tolerance, "dx");
  for (const Parameter& p : parameters) {
    const std::string key = p.name.substr(0, 2) + "d" + p.name.substr(2);
    expect_close(p.variable.grad(), golden(key), gradient_tolerance, key);
  }
}

INSTANTIATE_TEST_SUITE_P(PyTorch, RecurrentFixture,
                         testing::Combine(testing::Values("rnn_tanh", "rnn_relu", "lstm", "lstm_i",
                                                          "lstm_f", "lstm_o", "lstm_ifo", "gru",
                                                          "gru_before", "mut1", "indrnn"),
                                          testing::Values(DType::f64, DType::f32)),
                         [](const auto& param) {
                           return std::get<0>(param.param) + (std::get<1>(param.param) == DType::f64
                                                                  ? "_float64"
                                                                  : "_float32");
                         });

}  // namespace
}  // namespace sluice
