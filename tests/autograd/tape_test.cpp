#include "sluice/autograd/variable.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "sluice/autograd/arithmetic.hpp"
#include "sluice/autograd/rows.hpp"
#include "sluice/base/error.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

using test::leaf;
using test::random_tensor;

TEST(Tape, AddsGradientsOfAVariableUsedTwiceExactly) {
  const Variable x = leaf({1, 3}, 1);
  Tape tape;
  const Variable y = add_scaled(x, 2.0, x, 3.0);
  tape.backward(sum(add_scaled(y, 1.0, x, 4.0)));
  for (const double g : x.grad().span<double>()) EXPECT_EQ(g, 9.0);
}

TEST(Tape, NoGradRecordsNothing) {
  const Variable x = leaf({1, 3}, 1);
  Tape tape;
  {
    const NoGrad guard;
    EXPECT_FALSE(sum(x).requires_grad());
  }
  EXPECT_EQ(tape.size(), 0U);
  EXPECT_TRUE(sum(x).requires_grad());
  EXPECT_EQ(tape.size(), 1U);
}

TEST(Tape, RefusesALossItCannotWalkBackFrom) {
  Tape tape;
  const Variable x = leaf({1, 3}, 1);
  EXPECT_THROW(tape.backward(x), Error);
  EXPECT_THROW(tape.backward(Variable(random_tensor({1}, 1))), Error);
}

TEST(Tape, TellsWhenLeavesAreComplete) {
  const Variable early = leaf({1, 3}, 1), late = leaf({1, 3}, 2), both = leaf({1, 3}, 3);
  const Variable unused = leaf({1, 3}, 4), constant(random_tensor({1, 3}, 5));
  const Variable leaves[] = {both, late, early, unused, constant};
  std::vector<std::size_t> told;
  std::vector<double> gradients;  // of `both`, when it is told of and at the end
  Tape tape;
  const Variable a = add_scaled(early, 1.0, both, 2.0);
  const Variable b = add_scaled(a, 1.0, late, 1.0);
  const Variable c = add_scaled(b, 1.0, both, 3.0);
  std::vector<std::size_t> left;
  tape.backward(sum(c), {leaves, [&](std::size_t i) {
                           told.push_back(i);
                           left.push_back(tape.size());
                           if (i == 0) gradients.push_back(*both.grad().data<double>());
                         }});
  gradients.push_back(*both.grad().data<double>());
  // What no op used, at once; `late` before the op that is left; what completes together in order.
  EXPECT_EQ(told, (std::vector<std::size_t>{3, 4, 1, 0, 2}));
  EXPECT_EQ(left, (std::vector<std::size_t>{4, 4, 1, 0, 0}));
  EXPECT_EQ(gradients, (std::vector<double>{5, 5}));
  EXPECT_FALSE(unused.grad().defined());
}

TEST(Tape, TellsOfALeafThatSomethingElseHolds) {
  const Variable x = leaf({1, 3}, 1);
  const Gradient held = x.gradient();
  int told = 0;
  Tape tape;
  tape.backward(sum(x), {{&x, 1}, [&](std::size_t) { ++told; }});
  EXPECT_EQ(told, 1);
}

TEST(Tape, WalksALongChainWithoutRecursion) {
  const Variable x = leaf({1, 1}, 1);
  Tape tape;
  Variable y = x;
  for (int i = 0; i < 200000; ++i) y = reshape(y, Shape{1, 1});
  tape.backward(sum(y));
  EXPECT_EQ(*x.grad().data<double>(), 1.0);
}

}  // namespace
}  // namespace sluice
