#pragma once
// Gradients against central differences in float64.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "sluice/autograd/arithmetic.hpp"
#include "sluice/autograd/linear.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/autograd/variable.hpp"
#include "sluice/base/random.hpp"

namespace sluice::test {

/// Normal variates of float64, the same for the same `stream`.
inline Tensor random_tensor(Shape shape, std::uint32_t stream, double deviation = 1.0) {
  Tensor x(shape, DType::f64);
  const RandomKey key{12345, stream, 0};
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    x.data<double>()[i] = deviation * key.normal(static_cast<std::uint64_t>(i));
  }
  return x;
}

/// A variable of such numbers that wants a gradient.
inline Variable leaf(Shape shape, std::uint32_t stream, double deviation = 1.0) {
  return Variable(random_tensor(shape, stream, deviation), true);
}

/// Checks every gradient of `loss` (a function of the inputs' current values) against
/// (loss(x + h) - loss(x - h)) / 2h, h = 1e-5, to |difference| <= tolerance · max(1, |gradient|).
/// At most `most` elements of each input are tried, spread evenly.
inline void check_gradients(const std::vector<Variable>& inputs,
                            const std::function<Variable()>& loss, double tolerance = 1e-7,
                            std::int64_t most = 40) {
  for (const Variable& input : inputs) input.zero_grad();
  {
    Tape tape;
    tape.backward(loss());
  }
  const NoGrad guard;
  constexpr double h = 1e-5;
  for (std::size_t which = 0; which < inputs.size(); ++which) {
    const Tensor value = inputs[which].value();
    const Tensor gradient = inputs[which].grad();
    ASSERT_TRUE(gradient.defined()) << "input " << which << " got no gradient";
    const std::int64_t step = std::max<std::int64_t>(1, value.elements() / most);
    for (std::int64_t i = 0; i < value.elements(); i += step) {
      double& x = value.data<double>()[i];
      const double saved = x;
      x = saved + h;
      const double above = *loss().value().data<double>();
      x = saved - h;
      const double below = *loss().value().data<double>();
      x = saved;
      const double expected = (above - below) / (2 * h);
      const double got = gradient.data<double>()[i];
      EXPECT_NEAR(got, expected, tolerance * std::max(1.0, std::abs(expected)))
          << "input " << which << ", element " << i;
    }
  }
}

/// Σ x ⊙ weights, with fixed random weights: a scalar whose gradient differs everywhere.
inline Variable weighted_sum(const Variable& x, std::uint32_t stream = 99) {
  const std::int64_t n = x.value().elements();
  const Variable flat = reshape(x, Shape{1, n});
  return reshape(linear(flat, Variable(random_tensor(Shape{1, n}, stream)), {}), Shape{1});
}

}  // namespace sluice::test
