// Softmax ops: gradients against central differences in float64, ranks, errors.
#include "sluice/autograd/softmax.hpp"

#include <gtest/gtest.h>

#include "sluice/base/error.hpp"
#include "support/gradient_check.hpp"

namespace sluice {
namespace {

TEST(SoftmaxOps, GradientsMatchCentralDifferences) {
  for (const auto op : {softmax, log_softmax, softmin}) {
    for (const Shape& shape : {Shape{7}, Shape{3, 5}, Shape{2, 3, 4}, Shape{2, 2, 2, 3}}) {
      const Variable x(test::random_tensor(shape, 1, 2.0), true);
      test::check_gradients({x}, [&] { return test::weighted_sum(op(x)); });
      EXPECT_TRUE(op(x).shape() == shape);
    }
  }
}

TEST(SoftmaxOps, EmptyRowsAreRefusedAndNoRowsAreNot) {
  EXPECT_THROW(softmax(Variable(Tensor(Shape{3, 0}))), Error);
  EXPECT_THROW(log_softmax(Variable(Tensor(Shape{}))), Error);
  EXPECT_EQ(softmin(Variable(Tensor(Shape{0, 3}))).value().elements(), 0);
}

}  // namespace
}  // namespace sluice
