// Prepared weights and convolutions against plain sums, and what products leave as they found it.
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/random.hpp"
#include "sluice/tensor/prepared_conv.hpp"
#include "sluice/tensor/prepared_weight.hpp"

namespace sluice {
namespace {

Tensor random(Shape shape, std::uint32_t stream) {
  const Tensor x(shape);
  const RandomKey key{1, stream, 0};
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    x.data<float>()[i] = static_cast<float>(key.normal(static_cast<std::uint64_t>(i)));
  }
  return x;
}

/// x·W in float64, W [C, N], or [N, C] if `transposed`.
std::vector<double> plain_product(const Tensor& x, const Tensor& w, bool transposed) {
  const std::int64_t rows = x.dim(0), c = x.dim(1), n = w.dim(transposed ? 0 : 1);
  std::vector<double> y;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < c; ++k) {
        sum += static_cast<double>(x.data<float>()[r * c + k]) *
               static_cast<double>(w.data<float>()[transposed ? j * c + k : k * n + j]);
      }
      y.push_back(sum);
    }
  }
  return y;
}

TEST(PreparedWeight, MultipliesRowsInEitherLayoutAndPrecision) {
  for (const bool transposed : {false, true}) {
    for (const std::int64_t n : {5, 128}) {
      const Tensor w = random(transposed ? Shape{n, 24} : Shape{24, n}, 1);
      const auto layout =
          transposed ? WeightLayout::outputs_by_inputs : WeightLayout::inputs_by_outputs;
      for (const WeightPrecision precision :
           {WeightPrecision::f32, WeightPrecision::bf16, WeightPrecision::int8}) {
        if (precision == WeightPrecision::bf16 && !has_bfloat16_gemm()) continue;
        const PreparedWeight weight(w, layout, {.precision = precision});
        EXPECT_EQ(weight.inputs(), 24);
        EXPECT_EQ(weight.outputs(), n);
        // Of 24 products: float32 sums to 1e-5, operands rounded to 2^-9 of themselves to 0.1,
        // weights to 1/254 of an output's largest, about 3, to 0.15.
        const double tolerance = precision == WeightPrecision::f32    ? 1e-5
                                 : precision == WeightPrecision::bf16 ? 0.1
                                                                      : 0.15;
        for (const std::int64_t rows : {1, 2, 33}) {
          const Tensor x = random(Shape{rows, 24}, 2);
          const std::vector<double> expected = plain_product(x, w, transposed);
          const Tensor y = weight.product(x);
          ASSERT_EQ(y.shape(), (Shape{rows, n}));
          const Tensor twice = y.clone();
          weight.product(twice.data<float>(), n, matrix(x.data<float>(), rows, std::int64_t{24}),
                         true);
          for (std::int64_t i = 0; i < y.elements(); ++i) {
            ASSERT_NEAR(y.data<float>()[i], expected[static_cast<std::size_t>(i)], tolerance);
            ASSERT_NEAR(twice.data<float>()[i], 2 * expected[static_cast<std::size_t>(i)],
                        2 * tolerance);
          }
        }
      }
    }
  }
  EXPECT_THROW(PreparedWeight(random(Shape{4, 3, 2}, 1), WeightLayout::inputs_by_outputs), Error);
  EXPECT_THROW(
      PreparedWeight(Tensor::zeros(Shape{4, 3}, DType::f64), WeightLayout::inputs_by_outputs),
      Error);
  const PreparedWeight weight(random(Shape{4, 3}, 1), WeightLayout::inputs_by_outputs);
  EXPECT_THROW(weight.product(random(Shape{2, 3}, 1)), Error);
}

// The bits of a product by itself, and nothing else changes.
TEST(PreparedWeight, MultipliesIntoColumns) {
  const PreparedWeight weight(random(Shape{5, 24}, 1), WeightLayout::outputs_by_inputs);
  for (const std::int64_t rows : {0, 1, 3, 40}) {
    const Tensor x = random(Shape{rows, 24}, 2), alone = weight.product(x);
    for (const std::int64_t first : {0, 1, 4}) {
      const Tensor y = random(Shape{rows, 9}, 3), before = y.clone();
      weight.product_into(y, first, x);
      for (std::int64_t i = 0; i < y.elements(); ++i) {
        const std::int64_t column = i % 9 - first;
        const bool inside = column >= 0 && column < 5;
        ASSERT_EQ(y.data<float>()[i],
                  inside ? alone.data<float>()[i / 9 * 5 + column] : before.data<float>()[i])
            << rows << " " << first << " " << i;
      }
    }
  }
  const Tensor x = random(Shape{3, 24}, 2);
  EXPECT_THROW(weight.product_into(Tensor(Shape{3, 9}), 5, x), Error);
  EXPECT_THROW(weight.product_into(Tensor(Shape{3, 9}), -1, x), Error);
  EXPECT_THROW(weight.product_into(Tensor(Shape{2, 9}), 0, x), Error);
  EXPECT_THROW(weight.product_into(Tensor(Shape{27}), 0, x), Error);
  EXPECT_THROW(weight.product_into(Tensor(Shape{3, 9}, DType::f64), 0, x), Error);
}

TEST(PreparedWeight, CopiesUnlessToldOtherwise) {
  const Tensor w = random(Shape{4, 3}, 1), x = random(Shape{2, 3}, 2);
  const PreparedWeight copied(w, WeightLayout::outputs_by_inputs);
  const PreparedWeight shared(w, WeightLayout::outputs_by_inputs, {.copy = false});
  const float before = copied.product(x).data<float>()[0];
  w.data<float>()[0] += 1;
  EXPECT_EQ(copied.product(x).data<float>()[0], before);
  EXPECT_NE(shared.product(x).data<float>()[0], before);
}

// Streams at their own lengths, by products and by transforms, against sums in float64.
TEST(PreparedConv, StreamsAtTheirOwnLengths) {
  constexpr std::int64_t kernel = 4, channels = 64, outputs = 128;
  const Tensor w = random(Shape{kernel, channels, outputs}, 1), bias = random(Shape{outputs}, 2);
  const std::vector<std::int64_t> lengths = {1, 40, 3, 0, 17, 2, 60};
  const PackedRows rows(lengths);
  const Tensor x = random(Shape{rows.rows(), channels}, 3);
  const Tensor context = random(Shape{7, kernel - 1, channels}, 4);
  const Tensor residual = random(Shape{rows.rows(), outputs}, 5);
  const ConvEnd end{bias, Unit{}, residual, 0.5};
  for (const ConvPath path : {ConvPath::direct, ConvPath::fast, ConvPath::automatic}) {
    const PreparedConv conv(w, {.conv = path});
    for (const bool carried : {false, true}) {
      const ConvInput input{x, carried ? context : Tensor()};
      const Tensor y = conv.forward(input, rows, end);
      const Tensor next = trailing_rows(input, rows, kernel);
      const auto at = [&](std::size_t b, std::int64_t t, std::int64_t c) {
        if (t >= 0) return x.data<float>()[(rows.first(b) + t) * channels + c];
        if (!carried) return 0.0F;
        return context.data<float>()[(static_cast<std::int64_t>(b) * 3 + t + 3) * channels + c];
      };
      double largest = 0;
      for (std::size_t b = 0; b < rows.texts(); ++b) {
        for (std::int64_t t = 0; t < rows.length(b); ++t) {
          for (std::int64_t j = 0; j < outputs; ++j) {
            const std::int64_t place = (rows.first(b) + t) * outputs + j;
            double sum = bias.data<float>()[j] + residual.data<float>()[place];
            for (std::int64_t k = 0; k < kernel; ++k) {
              for (std::int64_t c = 0; c < channels; ++c) {
                sum += static_cast<double>(at(b, t - 3 + k, c)) *
                       static_cast<double>(w.data<float>()[(k * channels + c) * outputs + j]);
              }
            }
            largest = std::max(largest, std::abs(y.data<float>()[place] - 0.5 * sum));
          }
        }
        for (std::int64_t j = 0; j < 3; ++j) {
          for (std::int64_t c = 0; c < channels; ++c) {
            ASSERT_EQ(next.data<float>()[(static_cast<std::int64_t>(b) * 3 + j) * channels + c],
                      at(b, rows.length(b) - 3 + j, c));
          }
        }
      }
      // Sums of 256 products of about 1: float32's 1e-5, the transforms' a few times that.
      EXPECT_LT(largest, 3e-4) << conv.bytes();
    }
  }
}

// The host's OpenMP settings are its own.
TEST(Gemm, LeavesTheHostsThreadsAlone) {
  const int host = omp_get_max_threads(), ours = thread_count();
  omp_set_num_threads(host + 3);
  set_thread_count(1);
  const Tensor a = random(Shape{8, 8}, 1), c(Shape{8, 8});
  gemm(c.data<float>(), 8, matrix(a.data<float>(), 8, 8), matrix(a.data<float>(), 8, 8));
  EXPECT_EQ(omp_get_max_threads(), host + 3);
  set_thread_count(ours);
  EXPECT_EQ(omp_get_max_threads(), host + 3);
  omp_set_num_threads(host);
}

}  // namespace
}  // namespace sluice
