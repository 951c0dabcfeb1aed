// Feed-forward, attention, rotary positions and a whole block against PyTorch:
// tests/golden/transformer.safetensors (generate_transformer.py), computed in float64 from values
// that float32 holds. In float32 within 1e-6 of the largest element of each tensor (elements are
// sums of both signs), the block, a chain of ten ops, within 3e-6.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <sstream>

#include "sluice/autograd/arithmetic.hpp"
#include "sluice/autograd/attention.hpp"
#include "sluice/autograd/feed_forward.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/nn/transformer.hpp"

namespace sluice {
namespace {

struct Golden {
  std::map<std::string, Tensor> tensors;
  Metadata metadata;

  Golden() {
    for (auto& [name, tensor] :
         read_safetensors(SLUICE_SOURCE_DIR "/tests/golden/transformer.safetensors", &metadata)) {
      tensors.emplace(name, tensor);
    }
  }
  const Tensor& at(const std::string& name) const { return tensors.at(name); }
  Tensor find(const std::string& name) const {
    const auto it = tensors.find(name);
    return it == tensors.end() ? Tensor() : it->second;
  }
  Variable leaf(const std::string& name) const { return Variable(at(name).clone(), true); }
  std::vector<std::int64_t> numbers(const std::string& key) const {
    std::istringstream text(metadata.at(key));
    std::vector<std::int64_t> values;
    for (std::int64_t value = 0; text >> value;) values.push_back(value);
    return values;
  }
};

void expect_near(const Tensor& got, const Tensor& want, double tolerance, const std::string& what) {
  ASSERT_TRUE(got.defined()) << what;
  ASSERT_EQ(got.shape(), want.shape()) << what;
  double largest = 0;
  for (const float w : want.span<float>()) largest = std::max(largest, std::abs(double{w}));
  for (std::int64_t i = 0; i < want.elements(); ++i) {
    ASSERT_NEAR(got.data<float>()[i], want.data<float>()[i], tolerance * largest)
        << what << " " << i;
  }
}

// Runs `op`, gives its result the fixture's gradient, and compares it and the inputs' gradients.
void check(const Golden& golden, const std::string& prefix,
           const std::map<std::string, Variable>& inputs, double tolerance,
           const std::function<Variable()>& op) {
  Tape tape;
  const Variable y = op();
  expect_near(y.value(), golden.at(prefix + "y"), tolerance, prefix + "y");
  const Variable one(Tensor::zeros(Shape{1}), true);
  const Variable start = sum(one);
  y.gradient()->accumulate(golden.at(prefix + "dy").clone());
  tape.backward(start);
  for (const auto& [name, input] : inputs) {
    expect_near(input.grad(), golden.at(prefix + "d." + name), tolerance, prefix + name);
  }
}

TEST(TransformerGolden, FeedForward) {
  const Golden golden;
  for (const std::string unit : {"swiglu", "geglu", "relu"}) {
    for (const bool recompute : {false, true}) {
      const std::string prefix = "ffn." + unit + ".";
      std::map<std::string, Variable> in;
      for (const char* name : {"x", "w_in", "b_in", "w_out", "b_out"}) {
        in.emplace(name, golden.leaf(prefix + name));
      }
      check(golden, prefix, in, 1e-6, [&] {
        return gated_feed_forward(in.at("x"), in.at("w_in"), in.at("b_in"), in.at("w_out"),
                                  in.at("b_out"),
                                  {.unit = parse_unit(unit), .recompute = recompute});
      });
    }
  }
}

TEST(TransformerGolden, Attention) {
  const Golden golden;
  for (const std::string name : {"plain", "window", "context", "rotary"}) {
    const std::string prefix = "attention." + name + ".";
    const auto settings = golden.numbers("attention." + name);
    std::map<std::string, Variable> in;
    for (const char* operand : {"q", "k", "v"}) in.emplace(operand, golden.leaf(prefix + operand));
    check(golden, prefix, in, 1e-6, [&] {
      return causal_attention(
          in.at("q"), in.at("k"), in.at("v"), golden.find(prefix + "k_context"),
          golden.find(prefix + "v_context"),
          {.heads = settings.at(0), .window = settings.at(1), .rotary = settings.at(3) != 0});
    });
  }
}

TEST(TransformerGolden, Rotary) {
  const Golden golden;
  for (const std::int64_t first : {0, 1000}) {
    const std::string prefix = "rotary." + std::to_string(first) + ".";
    const Variable x = golden.leaf(prefix + "x");
    check(golden, prefix, {{"x", x}}, 1e-6, [&] { return rotary(x, 2, first); });
  }
}

TEST(TransformerGolden, Block) {
  const Golden golden;
  const auto settings = golden.numbers("block");
  const TransformerBlock block({.dim = 12,
                                .heads = settings.at(0),
                                .depth = 1,
                                .window = settings.at(1),
                                .ffn = "swiglu",
                                .ffn_width = settings.at(2)},
                               DType::f32, {std::nullopt, 0});
  Parameters parameters;
  block.collect(parameters, "");
  std::map<std::string, Variable> in{{"x", golden.leaf("block.x")}};
  for (const Parameter& parameter : parameters) {
    parameter.variable.set_value(golden.at("block." + parameter.name).clone());
    in.emplace(parameter.name, parameter.variable);
  }
  EXPECT_EQ(in.size(), 13U);
  Tensor context = golden.at("block.context");
  check(golden, "block.", in, 3e-6, [&] { return block.forward(in.at("x"), context, {}, 1); });
  EXPECT_EQ(context.shape(), (Shape{2, 4, 24}));
}

}  // namespace
}  // namespace sluice
