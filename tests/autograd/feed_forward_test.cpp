#include "sluice/autograd/feed_forward.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "sluice/autograd/activations.hpp"
#include "sluice/autograd/arithmetic.hpp"
#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/residual.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
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
Variable leaf32(Shape shape, std::uint32_t stream, double deviation = 1.0) {
  return Variable(random_tensor(shape, stream, deviation).to(DType::f32), true);
}

struct Layer {
  Variable x, w_in, b_in, w_out, b_out;
  std::vector<Variable> all() const { return {x, w_in, b_in, w_out, b_out}; }
  Variable operator()(const FeedForward& options) const {
    return gated_feed_forward(x, w_in, b_in, w_out, b_out, options);
  }
};

template <class Make>
Layer make_layer(const Unit& unit, std::int64_t rows, std::int64_t dim, std::int64_t width,
                 std::int64_t outputs, Make make) {
  const std::int64_t m = unit.inputs(width);
  return {make(Shape{rows, dim}, 1, 1.0), make(Shape{m, dim}, 2, 0.5), make(Shape{m}, 3, 0.5),
          make(Shape{outputs, width}, 4, 0.5), make(Shape{outputs}, 5, 1.0)};
}

// The same from other ops.
Variable composed(const Layer& layer, const FeedForward& o) {
  const Variable h = dropout(unit(linear(layer.x, layer.w_in, layer.b_in), o.unit), o.dropout);
  return linear(h, layer.w_out, layer.b_out);
}

TEST(FeedForward, GradientsOfEveryOperandWithEveryUnit) {
  for (const std::string& name : unit_names()) {
    SCOPED_TRACE(name);
    const FeedForward options{.unit = parse_unit(name)};
    const Layer layer = make_layer(options.unit, 7, 5, 6, 3, leaf);
    check_gradients(layer.all(), [&] { return weighted_sum(layer(options)); });
  }
}

TEST(FeedForward, GradientsWithDropoutRecomputedAndWithoutBiases) {
  Layer layer = make_layer(parse_unit("swiglu"), 70, 5, 33, 4, leaf);
  FeedForward options{.unit = parse_unit("swiglu"), .dropout = {0.3F, 5, 2, 9}};
  check_gradients(layer.all(), [&] { return weighted_sum(layer(options)); });
  options.recompute = true;
  check_gradients(layer.all(), [&] { return weighted_sum(layer(options)); });
  layer.b_in = layer.b_out = Variable();
  check_gradients({layer.x, layer.w_in, layer.w_out}, [&] { return weighted_sum(layer(options)); });
}

TEST(FeedForward, OnlyWhatIsAskedForGetsAGradient) {
  Layer layer = make_layer(parse_unit("geglu"), 7, 5, 6, 3, leaf);
  const FeedForward options{.unit = parse_unit("geglu")};
  layer.x = Variable(layer.x.value());
  check_gradients({layer.w_in, layer.b_in, layer.w_out, layer.b_out},
                  [&] { return weighted_sum(layer(options)); });
  layer = make_layer(parse_unit("geglu"), 7, 5, 6, 3, leaf);
  layer.w_in = Variable(layer.w_in.value());
  layer.b_in = Variable(layer.b_in.value());
  layer.w_out = Variable(layer.w_out.value());
  layer.b_out = Variable(layer.b_out.value());
  check_gradients({layer.x}, [&] { return weighted_sum(layer(options)); });
}

// Runs the layer and the composed ops on the same float32 operands; returns {y, gradients...} of
// each.
std::vector<Tensor> run(const Layer& layer, const std::function<Variable(const Layer&)>& op) {
  for (const Variable& v : layer.all()) v.zero_grad();
  Tape tape;
  const Variable y = op(layer);
  std::vector<Tensor> results{y.value().clone()};
  const std::int64_t n = y.value().elements();
  const Variable weights(random_tensor(Shape{1, n}, 77).to(DType::f32));
  tape.backward(reshape(linear(reshape(y, Shape{1, n}), weights, {}), Shape{1}));
  for (const Variable& v : layer.all()) results.push_back(v.grad());
  return results;
}

void expect_close(const std::vector<Tensor>& got, const std::vector<Tensor>& expected,
                  double tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t which = 0; which < got.size(); ++which) {
    double largest = 0, worst = 0;
    for (std::int64_t i = 0; i < got[which].elements(); ++i) {
      const double e = expected[which].data<float>()[i];
      largest = std::max(largest, std::abs(e));
      worst = std::max(worst, std::abs(e - static_cast<double>(got[which].data<float>()[i])));
    }
    EXPECT_LE(worst, tolerance * largest) << "result " << which;
  }
}

// More rows than one block has, widths of every kind, dropout in the same places.
TEST(FeedForward, EqualsTheComposedOps) {
  struct Case {
    const char* unit;
    std::int64_t rows, dim, width, outputs;
  };
  for (const Case& c : {Case{"swiglu", 65, 16, 37, 24}, Case{"relu", 130, 24, 128, 24},
                        Case{"glu", 1, 8, 1, 1}, Case{"geglu", 300, 8, 16400, 8}}) {
    for (const bool recompute : {false, true}) {
      for (const float p : {0.0F, 0.25F}) {
        SCOPED_TRACE(c.unit);
        const FeedForward options{
            .unit = parse_unit(c.unit), .dropout = {p, 5, 2, 9}, .recompute = recompute};
        const Layer layer = make_layer(options.unit, c.rows, c.dim, c.width, c.outputs, leaf32);
        expect_close(run(layer, [&](const Layer& l) { return l(options); }),
                     run(layer, [&](const Layer& l) { return composed(l, options); }), 2e-6);
      }
    }
  }
}

TEST(FeedForward, RecomputingChangesNoBit) {
  const Layer layer = make_layer(parse_unit("swiglu"), 130, 24, 37, 24, leaf32);
  const auto results = [&](bool recompute) {
    return run(layer, [&](const Layer& l) {
      return l({.unit = parse_unit("swiglu"), .recompute = recompute});
    });
  };
  const auto kept = results(false), again = results(true);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_EQ(std::memcmp(kept[i].raw(), again[i].raw(), kept[i].bytes()), 0) << "result " << i;
  }
}

// bfloat16 has 8 bits, so each operand is off by at most 2⁻⁹ of its size.
TEST(FeedForward, Bfloat16IsNearFloat32) {
  if (!has_bfloat16_gemm()) GTEST_SKIP() << "no bfloat16 products on this CPU";
  const Layer layer = make_layer(parse_unit("swiglu"), 130, 64, 171, 64, leaf32);
  for (const bool recompute : {false, true}) {
    expect_close(run(layer,
                     [&](const Layer& l) {
                       return l({.unit = parse_unit("swiglu"),
                                 .precision = Precision::bf16,
                                 .recompute = recompute});
                     }),
                 run(layer, [&](const Layer& l) { return l({.unit = parse_unit("swiglu")}); }),
                 0.02);
  }
}

// What a recorded op leaves in use is x, z and y; with recompute x and y.
TEST(FeedForward, KeepsNoMoreThanItSays) {
  constexpr std::int64_t rows = 4096, dim = 32, width = 341;
  const Layer layer = make_layer(parse_unit("swiglu"), rows, dim, width, dim, leaf32);
  for (const bool recompute : {false, true}) {
    Tape tape;
    const std::size_t before = allocator_stats().bytes_in_use;
    const Variable y = layer({.unit = parse_unit("swiglu"), .recompute = recompute});
    const auto kept = static_cast<std::int64_t>(allocator_stats().bytes_in_use - before);
    const std::int64_t y_bytes = rows * dim * 4, z_bytes = rows * 2 * width * 4;
    EXPECT_LT(kept, (recompute ? y_bytes : y_bytes + z_bytes) * 5 / 4) << recompute;
  }
}

TEST(FeedForward, NoRowsGiveZeroGradients) {
  const Layer layer = make_layer(parse_unit("swiglu"), 0, 5, 6, 3, leaf32);
  Tape tape;
  const Variable y = layer({.unit = parse_unit("swiglu")});
  EXPECT_EQ(y.shape(), (Shape{0, 3}));
  tape.backward(sum(y));
  for (const float g : layer.w_in.grad().span<float>()) EXPECT_EQ(g, 0);
  for (const float g : layer.w_out.grad().span<float>()) EXPECT_EQ(g, 0);
}

TEST(FeedForward, ANanStaysInItsRow) {
  Layer layer = make_layer(parse_unit("swiglu"), 70, 5, 33, 4, leaf32);
  layer.x.value().data<float>()[3 * 5 + 2] = std::nanf("");
  const Tensor y = layer({.unit = parse_unit("swiglu")}).value();
  for (std::int64_t i = 0; i < y.elements(); ++i) {
    EXPECT_EQ(std::isnan(y.data<float>()[i]), i / 4 == 3) << i;
  }
}

TEST(FeedForward, RefusesShapesThatDoNotFit) {
  const Layer layer = make_layer(parse_unit("swiglu"), 7, 5, 6, 3, leaf);
  const auto message = [](const Layer& l, const char* unit) {
    try {
      l({.unit = parse_unit(unit)});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  Layer bad = layer;
  bad.x = leaf({7, 4}, 1);
  EXPECT_NE(message(bad, "swiglu").find("[7, 4]"), std::string::npos) << message(bad, "swiglu");
  // 2F rows for a unit without a gate.
  EXPECT_NE(message(layer, "relu").find("[12, 5]"), std::string::npos) << message(layer, "relu");
  bad = layer;
  bad.b_in = leaf({6}, 1);
  EXPECT_NE(message(bad, "swiglu").find("first bias [6]"), std::string::npos);
  bad = layer;
  bad.b_out = leaf({6}, 1);
  EXPECT_NE(message(bad, "swiglu").find("second bias [6]"), std::string::npos);
}

TEST(ResidualAdd, Gradients) {
  const Variable x = leaf({4, 3, 5}, 1), z = leaf({4, 3, 5}, 2);
  check_gradients({x, z}, [&] { return weighted_sum(residual_add(x, z)); });
  check_gradients({x, z}, [&] { return weighted_sum(residual_add(x, z, {0.4F, 7, 3, 9})); });
  check_gradients({z}, [&] { return weighted_sum(residual_add(Variable(x.value()), z)); });
  check_gradients({x}, [&] { return weighted_sum(residual_add(x, x)); });
  EXPECT_THROW(residual_add(x, leaf({4, 3}, 1)), Error);
}

TEST(ResidualAdd, EqualsDropoutAndSum) {
  const Variable x = leaf32({67, 501}, 1), z = leaf32({67, 501}, 2);
  const Dropout d{0.3F, 7, 3, 9};
  const Tensor got = residual_add(x, z, d).value();
  const Tensor expected = add_scaled(x, 1.0, dropout(z, d), 1.0).value();
  for (std::int64_t i = 0; i < got.elements(); ++i) {
    ASSERT_FLOAT_EQ(got.data<float>()[i], expected.data<float>()[i]) << i;
  }
}

}  // namespace
}  // namespace sluice
