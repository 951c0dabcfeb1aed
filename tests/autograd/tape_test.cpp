#include "sluice/autograd/variable.hpp"

#include <gtest/gtest.h>

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
