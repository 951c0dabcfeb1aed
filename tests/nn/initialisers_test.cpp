// Initialisers by their definitions: bounds, moments, orthogonality, gains, and independence of the
// number of threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/nn/init.hpp"

namespace sluice {
namespace {

struct Moments {
  double mean = 0, deviation = 0, least = 0, most = 0;
};

Moments moments(const Tensor& x) {
  const auto values = x.span<double>();
  const auto n = static_cast<double>(values.size());
  Moments m;
  for (const double v : values) m.mean += v / n;
  for (const double v : values) m.deviation += (v - m.mean) * (v - m.mean) / n;
  m.deviation = std::sqrt(m.deviation);
  m.least = *std::min_element(values.begin(), values.end());
  m.most = *std::max_element(values.begin(), values.end());
  return m;
}

Shape weight_shape() { return {200, 100, 3}; }

TEST(Initialisers, FansArePyTorchs) {
  const Fans fans = fans_of(Shape{6, 4, 3, 5});
  EXPECT_EQ(fans.in, 60);
  EXPECT_EQ(fans.out, 90);
  EXPECT_THROW(fans_of(Shape{6}), Error);
}

TEST(Initialisers, GainsArePyTorchs) {
  // torch.nn.init.calculate_gain, 1.13.1.
  EXPECT_DOUBLE_EQ(calculate_gain("linear"), 1);
  EXPECT_DOUBLE_EQ(calculate_gain("conv2d"), 1);
  EXPECT_DOUBLE_EQ(calculate_gain("sigmoid"), 1);
  EXPECT_DOUBLE_EQ(calculate_gain("tanh"), 1.6666666666666667);
  EXPECT_DOUBLE_EQ(calculate_gain("relu"), 1.4142135623730951);
  EXPECT_DOUBLE_EQ(calculate_gain("leaky_relu"), 1.4141428569978354);
  EXPECT_DOUBLE_EQ(calculate_gain("leaky_relu", 0.2), 1.3867504905630728);
  EXPECT_DOUBLE_EQ(calculate_gain("selu"), 0.75);
  try {
    calculate_gain("tahn");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean tanh?"), std::string::npos);
  }
}

// 60,000 values: the mean within 5 standard errors, the deviation within 1.5%.
void expect_spread(const Tensor& x, double deviation, bool bounded) {
  const Moments m = moments(x);
  EXPECT_NEAR(m.mean, 0, 5 * deviation / std::sqrt(60000.0));
  EXPECT_NEAR(m.deviation / deviation, 1, 0.015);
  const double bound = std::sqrt(3.0) * deviation;
  if (bounded) {
    EXPECT_GT(m.least, -bound);
    EXPECT_LT(m.most, bound);
    EXPECT_LT(m.least, -0.99 * bound);
    EXPECT_GT(m.most, 0.99 * bound);
  } else {
    EXPECT_GT(m.most, 3 * deviation);
  }
}

TEST(Initialisers, XavierAndKaimingHaveTheirSpread) {
  const Shape shape = weight_shape();
  const Fans fans = fans_of(shape);
  const InitKey key{7, 3};
  const double xavier = 1.5 * std::sqrt(2.0 / 900), in = 1.5 / std::sqrt(300.0),
               out = 1.5 / std::sqrt(600.0);
  expect_spread(xavier_uniform(shape, DType::f64, fans, 1.5, key), xavier, true);
  expect_spread(xavier_normal(shape, DType::f64, fans, 1.5, key), xavier, false);
  expect_spread(kaiming_uniform(shape, DType::f64, fans, FanMode::in, 1.5, key), in, true);
  expect_spread(kaiming_normal(shape, DType::f64, fans, FanMode::in, 1.5, key), in, false);
  expect_spread(kaiming_uniform(shape, DType::f64, fans, FanMode::out, 1.5, key), out, true);
  expect_spread(kaiming_normal(shape, DType::f64, fans, FanMode::out, 1.5, key), out, false);
}

TEST(Initialisers, ConstantIsConstant) {
  const Tensor x = constant(Shape{3, 2}, DType::f32, 1.5);
  for (const float v : x.span<float>()) EXPECT_EQ(v, 1.5F);
}

TEST(Initialisers, OrthogonalVectorsAreOrthonormal) {
  for (const Shape& shape : {Shape{64, 64}, Shape{96, 31}, Shape{31, 96}, Shape{8, 5, 3},
                             Shape{1, 7}, Shape{7, 1}, Shape{1, 1}}) {
    const Tensor x = orthogonal(shape, DType::f64, 2.0, {5, 9});
    const std::int64_t rows = shape[0], columns = shape.elements() / rows;
    const bool wide = columns > rows;
    const std::int64_t m = std::min(rows, columns), length = std::max(rows, columns);
    const double* data = x.data<double>();
    const auto at = [&](std::int64_t vector, std::int64_t i) {
      return wide ? data[vector * columns + i] : data[i * columns + vector];
    };
    for (std::int64_t a = 0; a < m; ++a) {
      for (std::int64_t b = 0; b <= a; ++b) {
        double dot = 0;
        for (std::int64_t i = 0; i < length; ++i) dot += at(a, i) * at(b, i);
        ASSERT_NEAR(dot, a == b ? 4.0 : 0.0, 1e-11) << shape.str();
      }
    }
  }
  EXPECT_THROW(orthogonal(Shape{4}, DType::f64, 1, {}), Error);
  EXPECT_EQ(orthogonal(Shape{0, 4}, DType::f64, 1, {}).elements(), 0);
}

// A sign-fixed Q is uniform over orthogonal matrices: signs of all entries are even. With R's signs
// left to the factorisation, the first entry would tend to one side.
TEST(Initialisers, OrthogonalPrefersNoSign) {
  int positive = 0, upright = 0;
  for (std::uint32_t stream = 0; stream < 400; ++stream) {
    const Tensor q = orthogonal(Shape{2, 2}, DType::f64, 1, {3, stream});
    const double* e = q.data<double>();
    positive += e[0] > 0 ? 1 : 0;
    upright += e[0] * e[3] - e[1] * e[2] > 0 ? 1 : 0;
  }
  EXPECT_NEAR(positive, 200, 50);
  EXPECT_NEAR(upright, 200, 50);
}

double density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }
double distribution(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }

TEST(Initialisers, TruncatedNormalHasItsBoundsAndMoments) {
  const TruncatedNormal table[] = {
      {0, 1, -2, 2}, {0.5, 0.02, 0.47, 0.51}, {0, 1, 1, 4}, {0, 1, -6, -1}, {0, 1, 9, 12}};
  for (const auto& row : table) {
    const Tensor x = truncated_normal(weight_shape(), DType::f64, row, {7, 4});
    const Moments m = moments(x);
    EXPECT_GE(m.least, row.low);
    EXPECT_LE(m.most, row.high);
    // E and V of the truncated normal, tails taken from the side where they are small.
    const double flip = row.low > row.mean ? -1 : 1;
    double a = flip * (row.low - row.mean) / row.deviation;
    double b = flip * (row.high - row.mean) / row.deviation;
    if (a > b) std::swap(a, b);
    const double mass = distribution(b) - distribution(a);
    const double first = (density(a) - density(b)) / mass;
    const double variance = 1 + (a * density(a) - b * density(b)) / mass - first * first;
    const double deviation = row.deviation * std::sqrt(variance);
    EXPECT_NEAR(m.mean, row.mean + flip * first * row.deviation, 5 * deviation / 244);
    EXPECT_NEAR(m.deviation / deviation, 1, 0.03);
  }
  EXPECT_THROW(truncated_normal(Shape{2}, DType::f64, {0, 1, 2, 2}, InitKey{}), UsageError);
  EXPECT_THROW(truncated_normal(Shape{2}, DType::f64, {0, 0, -2, 2}, {}), UsageError);
}

using Initialiser = std::function<Tensor(InitKey)>;

std::vector<Initialiser> initialisers() {
  const Shape shape{70, 50};
  const Fans fans = fans_of(shape);
  return {
      [=](InitKey key) { return uniform(shape, DType::f32, -1, 2, key); },
      [=](InitKey key) { return xavier_uniform(shape, DType::f32, fans, 1, key); },
      [=](InitKey key) { return kaiming_normal(shape, DType::f32, fans, FanMode::in, 1, key); },
      [=](InitKey key) { return orthogonal(shape, DType::f32, 1, key); },
      [=](InitKey key) { return truncated_normal(shape, DType::f32, {}, key); },
  };
}

TEST(Initialisers, ThreadsChangeNothingAndKeysDo) {
  const int threads = thread_count();
  for (const Initialiser& initialiser : initialisers()) {
    set_thread_count(1);
    const Tensor one = initialiser({7, 1});
    set_thread_count(3);
    const Tensor three = initialiser({7, 1}), stream = initialiser({7, 2}),
                 seed = initialiser({8, 1});
    for (std::int64_t i = 0; i < one.elements(); ++i) {
      ASSERT_EQ(one.data<float>()[i], three.data<float>()[i]);
    }
    EXPECT_NE(one.data<float>()[5], stream.data<float>()[5]);
    EXPECT_NE(one.data<float>()[5], seed.data<float>()[5]);
  }
  set_thread_count(threads);
}

TEST(Initialisers, WithoutASeedGiveZeros) {
  for (const Initialiser& initialiser : initialisers()) {
    const Tensor x = initialiser({std::nullopt, 1});
    for (const float v : x.span<float>()) ASSERT_EQ(v, 0.0F);
  }
}

}  // namespace
}  // namespace sluice
