#include "sluice/autograd/activations.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

using test::check_gradients;
using test::leaf;
using test::random_tensor;
using test::weighted_sum;

TEST(Activations, EveryActivationOfAnyRank) {
  for (const std::string& name : unit_names()) {
    const Unit u = parse_unit(name);
    if (u.gated) continue;
    SCOPED_TRACE(name);
    for (const Shape& shape : {Shape{7}, Shape{2, 3, 4}, Shape{2, 3, 2, 2}}) {
      const Variable x = leaf(shape, 4, 2.0);
      check_gradients({x}, [&] { return weighted_sum(activation(x, u.f)); });
    }
  }
  const Variable x = leaf({3, 4}, 4);
  check_gradients({x}, [&] { return weighted_sum(activation(x, Activation::elu, {0.3F, 0})); });
  EXPECT_THROW(activation(x, Activation::elu, {-1, 0}), UsageError);
  EXPECT_EQ(activation(Variable(Tensor(Shape{0, 3})), Activation::mish).shape(), (Shape{0, 3}));
}

TEST(Activations, PreluAndSwishLearnTheirParameters) {
  const Variable x = leaf({3, 4, 5}, 1, 2.0);
  for (const Shape& shape : {Shape{1}, Shape{5}, Shape{4, 5}}) {
    SCOPED_TRACE(shape.str());
    const Variable parameter = leaf(shape, 2, 0.5);
    check_gradients({x, parameter}, [&] { return weighted_sum(prelu(x, parameter)); });
    check_gradients({x, parameter}, [&] { return weighted_sum(swish(x, parameter)); });
    // Only one of the two is learned.
    const Variable fixed(parameter.value());
    check_gradients({x}, [&] { return weighted_sum(prelu(x, fixed)); });
    const Variable input(x.value());
    check_gradients({parameter}, [&] { return weighted_sum(swish(input, parameter)); });
  }
  const Variable row = leaf({6}, 3), each = leaf({6}, 4), matrix = leaf({4, 6}, 5);
  check_gradients({row, each}, [&] { return weighted_sum(prelu(row, each)); });
  check_gradients({matrix, each}, [&] { return weighted_sum(prelu(matrix, each)); });
}

TEST(Activations, ParametersThatDoNotFitAreRefused) {
  const Variable x = leaf({3, 4, 5}, 1);
  for (const Shape& shape : {Shape{4}, Shape{3, 4}, Shape{3, 4, 5}, Shape{2}}) {
    try {
      prelu(x, leaf(shape, 2));
      FAIL() << shape.str();
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(),
                   ("prelu: expected alpha of shape [1], [5] or x's without the first "
                    "dimension, got " +
                    shape.str() + " for x [3, 4, 5]")
                       .c_str());
    }
  }
  EXPECT_THROW(swish(x, Variable(Tensor::zeros(Shape{5}, DType::f32))), Error);
}

TEST(Activations, ParameterGradientsDoNotDependOnTheThreadCount) {
  const auto run = [](int threads) {
    const int before = thread_count();
    set_thread_count(threads);
    const Variable x(random_tensor({3000, 40}, 1).to(DType::f32));
    const Variable beta(random_tensor({40}, 2).to(DType::f32), true);
    Tape tape;
    tape.backward(sum(swish(x, beta)));
    set_thread_count(before);
    return beta.grad();
  };
  const Tensor one = run(1), three = run(3);
  EXPECT_EQ(std::memcmp(one.raw(), three.raw(), one.bytes()), 0);
}

TEST(Activations, RreluIsRandomInTrainingAndItsMeanOtherwise) {
  const Variable x = leaf({11, 13}, 1);
  const RandomKey key{7, 3, 9};
  check_gradients({x}, [&] { return weighted_sum(rrelu(x, 0.1F, 0.4F, true, key)); });
  check_gradients({x}, [&] { return weighted_sum(rrelu(x, 0.1F, 0.4F, false, key)); });
  const Tensor random = rrelu(x, 0.1F, 0.4F, true, key).value();
  const Tensor mean = rrelu(x, 0.1F, 0.4F, false, key).value();
  for (std::int64_t i = 0; i < 11 * 13; ++i) {
    const double at = x.value().data<double>()[i];
    const double slope = random.data<double>()[i] / at;
    if (at > 0) {
      EXPECT_EQ(slope, 1);
      EXPECT_EQ(mean.data<double>()[i], at);
    } else {
      EXPECT_NEAR(
          slope, 0.1 + 0.3 * static_cast<double>(key.uniform(static_cast<std::uint64_t>(i))), 1e-7);
      EXPECT_NEAR(mean.data<double>()[i], 0.25 * at, 1e-7);
    }
  }
  EXPECT_THROW(rrelu(x, 0.5F, 0.4F, true, key), UsageError);
  EXPECT_THROW(rrelu(x, -0.5F, 0.4F, true, key), UsageError);
}

// Hendrycks & Gimpel 2016, section 2: an element is kept with the probability Φ of itself.
TEST(Activations, StochasticGeluHasGeluAsItsMean) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const double at : {-3.0, -1.0, -0.1, 0.0, 0.4, 2.0}) {
      const std::int64_t n = 40'000;
      const Tensor x(Shape{n}, DType::f64);
      for (std::int64_t i = 0; i < n; ++i) x.data<double>()[i] = at;
      const Tensor y = stochastic_gelu(Variable(x.to(dtype)), {7, 3, 9}).value().to(DType::f64);
      double sum = 0;
      for (const double value : y.span<double>()) {
        EXPECT_TRUE(value == 0 || std::abs(value - at) < 1e-6);
        sum += value;
      }
      const double mean = at * 0.5 * std::erfc(-at / std::sqrt(2.0));
      EXPECT_NEAR(sum / static_cast<double>(n), mean, 0.02 * (0.1 + std::abs(at)));
    }
  }
  const Variable x = leaf({11, 13}, 1);
  check_gradients({x}, [&] { return weighted_sum(stochastic_gelu(x, {7, 3, 9})); });
}

TEST(Activations, Maxout) {
  const Variable z = leaf({5, 12}, 1);
  for (const std::int64_t k : {1, 2, 3, 4}) {
    check_gradients({z}, [&] { return weighted_sum(maxout(z, k)); });
  }
  // Blocks [1, 5], [3, 5], [2, 4]: the second wins, then the first of two equals.
  const std::vector<double> values{1, 5, 3, 5, 2, 4};
  const Variable ties(Tensor::of<double>(Shape{1, 6}, values), true);
  Tape tape;
  const Variable y = maxout(ties, 3);
  tape.backward(sum(y));
  EXPECT_EQ(y.value().data<double>()[0], 3);
  EXPECT_EQ(y.value().data<double>()[1], 5);
  const std::vector<double> want{0, 1, 1, 0, 0, 0};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(ties.grad().data<double>()[i], want[i]) << i;
  try {
    maxout(z, 5);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "maxout of 5: expected [R, 5N], got shape [5, 12]");
  }
}

}  // namespace
}  // namespace sluice
