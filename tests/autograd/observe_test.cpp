// Looking at gradients on their way.

#include "sluice/autograd/detail/observe.hpp"

#include <gtest/gtest.h>

#include "sluice/autograd/arithmetic.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

TEST(Observe, SeesTheWholeGradientOnceAndPassesItOn) {
  const Variable x = test::leaf(Shape{2, 3}, 1);
  const auto loss_of = [](const Variable& y) {
    return test::weighted_sum(add_scaled(y, 2.0, y, 3.0));  // two uses
  };
  {
    Tape tape;
    tape.backward(loss_of(x));
  }
  const Tensor expected = x.grad().clone();
  x.zero_grad();
  int calls = 0;
  Tape tape;
  const Variable seen = observe(x, [&](const Tensor& dy) {
    ++calls;
    for (std::int64_t i = 0; i < 6; ++i) {
      EXPECT_EQ(dy.data<double>()[i], expected.data<double>()[i]);
    }
  });
  EXPECT_EQ(seen.value().raw(), x.value().raw());
  tape.backward(loss_of(seen));
  EXPECT_EQ(calls, 1);
  for (std::int64_t i = 0; i < 6; ++i) {
    EXPECT_EQ(x.grad().data<double>()[i], expected.data<double>()[i]);
  }
}

TEST(Observe, IsSilentWithoutATapeOrAGradient) {
  const auto never = [](const Tensor&) { FAIL(); };
  EXPECT_FALSE(observe(test::leaf(Shape{2}, 1), never).requires_grad());
  Tape tape;
  EXPECT_FALSE(observe(Variable(test::random_tensor(Shape{2}, 1)), never).requires_grad());
  EXPECT_EQ(tape.size(), 0U);
}

}  // namespace
}  // namespace sluice
