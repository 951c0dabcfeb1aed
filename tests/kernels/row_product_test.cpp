#include "sluice/kernels/detail/row_product.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "sluice/kernels/detail/bfloat16.hpp"
#include "support.hpp"

namespace sluice::kernels {
namespace {

enum class Rows : std::uint8_t { inputs, outputs };

template <class W>
void multiply(Rows of, const RowProduct<W>& product, std::size_t rows) {
  of == Rows::inputs ? multiply_by_inputs(product, rows) : multiply_by_outputs(product, rows);
}

constexpr std::size_t most_rows = 9;

/// What the products are of: a matrix in both types, the values that they stand for.
struct Matrix {
  Matrix(Rows rows_of, std::size_t inputs, std::size_t outputs)
      : of(rows_of),
        inner(inputs),
        columns(outputs),
        ld((of == Rows::inputs ? columns : inner) + 3),
        wide(normal_values<float>(ld * (of == Rows::inputs ? inner : columns) + 1, 5)),
        narrow(wide.size()),
        rounded(wide.size()) {
    to_bfloat16(narrow.data(), wide.data(), wide.size());
    from_bfloat16(rounded.data(), narrow.data(), narrow.size());
  }
  std::size_t place(std::size_t k, std::size_t j) const {
    return of == Rows::inputs ? k * ld + j : j * ld + k;
  }

  Rows of;
  std::size_t inner, columns, ld;
  std::vector<float> wide;
  std::vector<std::uint16_t> narrow;
  std::vector<float> rounded;
};

/// A product of `rows` rows, by the float32 or by the bfloat16 matrix.
std::vector<float> product(const Matrix& m, bool bfloat16, std::size_t rows, bool accumulate) {
  const std::size_t x_pitch = m.inner + 2, y_pitch = m.columns + 5;
  const auto x = normal_values<float>(most_rows * x_pitch + 1, 6);
  auto y = normal_values<float>(most_rows * y_pitch + 1, 7);
  if (bfloat16) {
    multiply(m.of,
             RowProduct<std::uint16_t>{y.data(), y_pitch, x.data(), x_pitch, m.narrow.data(), m.ld,
                                       m.inner, m.columns, accumulate},
             rows);
  } else {
    multiply(m.of,
             RowProduct<float>{y.data(), y_pitch, x.data(), x_pitch, m.wide.data(), m.ld, m.inner,
                               m.columns, accumulate},
             rows);
  }
  return y;
}

// The bound of row_product.hpp, and what is behind rows and columns stays.
void expect_products(const Matrix& m, bool bfloat16, std::size_t rows, bool accumulate) {
  const std::size_t x_pitch = m.inner + 2, y_pitch = m.columns + 5;
  const auto x = normal_values<float>(most_rows * x_pitch + 1, 6);
  const auto start = normal_values<float>(most_rows * y_pitch + 1, 7);
  const std::vector<float> got = product(m, bfloat16, rows, accumulate);
  const std::vector<float>& w = bfloat16 ? m.rounded : m.wide;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::size_t r = i / y_pitch, j = i % y_pitch;
    if (r >= rows || j >= m.columns) {
      ASSERT_EQ(got[i], start[i]) << "behind row " << r << ", column " << j;
      continue;
    }
    double want = accumulate ? static_cast<double>(start[i]) : 0.0, magnitude = std::fabs(want);
    for (std::size_t k = 0; k < m.inner; ++k) {
      const double term =
          static_cast<double>(x[r * x_pitch + k]) * static_cast<double>(w[m.place(k, j)]);
      want += term;
      magnitude += std::fabs(term);
    }
    const double bound = (static_cast<double>(m.inner) / 8 + 16) * std::ldexp(1.0, -24);
    ASSERT_NEAR(got[i], want, bound * magnitude)
        << m.inner << " by " << m.columns << ", row " << r << ", column " << j;
  }
}

TEST(RowProduct, FollowsDoubleInBothLayoutsAndTypes) {
  on_every_target([] {
    for (const Rows of : {Rows::inputs, Rows::outputs}) {
      for (const std::size_t inner : {0, 1, 7, 8, 9, 33, 100}) {
        for (const std::size_t columns : {1, 3, 4, 5, 17, 70}) {
          const Matrix m(of, inner, columns);
          for (const std::size_t rows :
               {std::size_t{0}, std::size_t{1}, std::size_t{2}, most_rows}) {
            for (const bool accumulate : {false, true}) {
              for (const bool bfloat16 : {false, true}) {
                expect_products(m, bfloat16, rows, accumulate);
                if (::testing::Test::HasFatalFailure()) return;
              }
            }
          }
        }
      }
    }
  });
}

// More columns than are taken at once, and sums long enough for errors to add up.
TEST(RowProduct, FollowsDoubleForLargeMatrices) {
  on_every_target([] {
    for (const bool bfloat16 : {false, true}) {
      expect_products(Matrix(Rows::inputs, 40, 2100), bfloat16, 3, true);
      expect_products(Matrix(Rows::inputs, 40, 1300), bfloat16, most_rows, true);
      expect_products(Matrix(Rows::inputs, 2100, 40), bfloat16, 2, false);
      expect_products(Matrix(Rows::outputs, 2100, 40), bfloat16, 3, true);
    }
  });
}

// A text's results are the same bits whoever else is there, and however many threads share columns.
TEST(RowProduct, ARowDependsOnNoOtherNorOnHowColumnsAreSplit) {
  on_every_target([] {
    for (const Rows of : {Rows::inputs, Rows::outputs}) {
      const Matrix m(of, 77, 133);
      const std::size_t x_pitch = m.inner + 2, y_pitch = m.columns + 5;
      const auto x = normal_values<float>(most_rows * x_pitch + 1, 6);
      const std::vector<float> all = product(m, false, most_rows, false);
      for (std::size_t r = 0; r < most_rows; ++r) {
        std::vector<float> one(y_pitch);
        for (const auto& [first, end] : {std::pair<std::size_t, std::size_t>{0, 64}, {64, 133}}) {
          multiply(of,
                   RowProduct<float>{one.data() + first, 0, x.data() + r * x_pitch, 0,
                                     m.wide.data() + m.place(0, first), m.ld, m.inner, end - first,
                                     false},
                   1);
        }
        for (std::size_t j = 0; j < m.columns; ++j) ASSERT_EQ(one[j], all[r * y_pitch + j]);
      }
    }
  });
}

}  // namespace
}  // namespace sluice::kernels
