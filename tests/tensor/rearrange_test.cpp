#include "sluice/tensor/detail/rearrange.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "sluice/base/random.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/orthonormal.hpp"

namespace sluice {
namespace {

Tensor normal_tensor(Shape shape, DType dtype, std::uint32_t stream) {
  const RandomKey key{5, stream, 0};
  return generated(shape, dtype, [&](std::uint64_t i) { return key.normal(i); });
}

TEST(Rearrange, SwapOuterPutsEveryElementWhereItBelongs) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 1, 70}, Shape{33, 65, 2}, Shape{0, 4, 3}}) {
      const Tensor x = normal_tensor(shape, dtype, 1), y = swap_outer(x);
      const std::int64_t a = shape[0], b = shape[1], c = shape[2];
      ASSERT_EQ(y.shape().str(), (Shape{c, b, a}.str()));
      dispatch_float(dtype, [&](auto zero) {
        using T = decltype(zero);
        for (std::int64_t i = 0; i < x.elements(); ++i) {
          const std::int64_t to = (i % c * b + i / c % b) * a + i / c / b;
          ASSERT_EQ(y.data<T>()[to], x.data<T>()[i]);
        }
      });
    }
  }
}

TEST(Orthonormalise, GivesOrthonormalRowsThatSpanTheSame) {
  for (const auto& [m, length] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 5}, {9, 33}}) {
    const Tensor v = normal_tensor(Shape{m, length}, DType::f64, 3), q = v.clone();
    orthonormalise(q);
    const auto dot = [length = length](const Tensor& a, std::int64_t i, const Tensor& b,
                                       std::int64_t j) {
      double sum = 0;
      for (std::int64_t k = 0; k < length; ++k) {
        sum += a.data<double>()[i * length + k] * b.data<double>()[j * length + k];
      }
      return sum;
    };
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < m; ++j) EXPECT_NEAR(dot(q, i, q, j), i == j ? 1 : 0, 1e-12);
      // R is upper triangular, its diagonal positive.
      for (std::int64_t j = i + 1; j < m; ++j) EXPECT_NEAR(dot(v, i, q, j), 0, 1e-11);
      EXPECT_GT(dot(v, i, q, i), 0);
    }
  }
}

}  // namespace
}  // namespace sluice
