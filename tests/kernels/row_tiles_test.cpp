#include "sluice/kernels/detail/row_tiles.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "sluice/kernels/detail/bfloat16.hpp"
#include "support.hpp"

namespace sluice::kernels {
namespace {

constexpr std::align_val_t line{64};
struct Freed {
  void operator()(std::byte* bytes) const { ::operator delete[](bytes, line); }
};

/// Rows, a matrix and where their product goes: in float32, and in bfloat16 with what that stands
/// for.
struct Operands {
  Operands(TiledRows matrix_of, std::size_t row_count, std::size_t inputs, std::size_t outputs)
      : of(matrix_of),
        rows(row_count),
        inner(inputs),
        columns(outputs),
        ld((of == TiledRows::inputs ? columns : inner) + 3),
        x_pitch(inner + 2),
        y_pitch(columns + 5),
        x(normal_values<float>(rows * x_pitch + 1, 6)),
        w(normal_values<float>(ld * (of == TiledRows::inputs ? inner : columns) + 1, 5)),
        start(normal_values<float>(rows * y_pitch + 1, 7)),
        x_narrow(x.size()),
        w_narrow(w.size()) {}

  /// From here on both are of bfloat16.
  void round() {
    for (auto [wide, narrow] : {std::pair{&x, &x_narrow}, std::pair{&w, &w_narrow}}) {
      to_bfloat16(narrow->data(), wide->data(), wide->size());
      from_bfloat16(wide->data(), narrow->data(), wide->size());
    }
    bfloat16 = true;
  }
  std::size_t place(std::size_t k, std::size_t j) const {
    return of == TiledRows::inputs ? k * ld + j : j * ld + k;
  }

  TiledRows of;
  std::size_t rows, inner, columns, ld, x_pitch, y_pitch;
  std::vector<float> x, w, start;
  std::vector<std::uint16_t> x_narrow, w_narrow;
  bool bfloat16 = false;
};

/// The product of rows [first, first + count) by outputs [begin, end), in parts of one call each.
std::vector<float> product(const Operands& o, bool accumulate, std::size_t first, std::size_t count,
                           const std::vector<std::size_t>& ends) {
  TileRows rows{nullptr, count, o.inner, o.of, !o.bfloat16};
  const std::unique_ptr<std::byte[], Freed> data(
      static_cast<std::byte*>(::operator new[](tile_rows_bytes(rows) + 1, line)));
  rows.data = data.get();
  for (std::size_t block = 0; block * kTileBlock < count; ++block) {
    const std::size_t from = first * o.x_pitch;
    o.bfloat16 ? split_tile_rows(rows, o.x_narrow.data() + from, o.x_pitch, block)
               : split_tile_rows(rows, o.x.data() + from, o.x_pitch, block);
  }
  std::vector<float> y = o.start;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    const auto part = [&](const auto* w) {
      return RowProduct<std::remove_cvref_t<decltype(*w)>>{y.data() + first * o.y_pitch + begin,
                                                           o.y_pitch,
                                                           nullptr,
                                                           0,
                                                           w + o.place(0, begin),
                                                           o.ld,
                                                           o.inner,
                                                           end - begin,
                                                           accumulate};
    };
    o.bfloat16 ? multiply_tiles(part(o.w_narrow.data()), rows)
               : multiply_tiles(part(o.w.data()), rows);
    begin = end;
  }
  return y;
}

// The bound of row_tiles.hpp, and what is behind rows and columns stays.
void expect_product(const Operands& o, bool accumulate) {
  const std::vector<float> got = product(o, accumulate, 0, o.rows, {o.columns});
  const double steps = static_cast<double>(o.inner) * (o.bfloat16 ? 1.0 / 32 : 3.0 / 16) + 28;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::size_t r = i / o.y_pitch, j = i % o.y_pitch;
    if (r >= o.rows || j >= o.columns) {
      ASSERT_EQ(got[i], o.start[i]) << "behind row " << r << ", column " << j;
      continue;
    }
    double want = accumulate ? static_cast<double>(o.start[i]) : 0.0, magnitude = std::fabs(want);
    for (std::size_t k = 0; k < o.inner; ++k) {
      const double term =
          static_cast<double>(o.x[r * o.x_pitch + k]) * static_cast<double>(o.w[o.place(k, j)]);
      want += term;
      magnitude += std::fabs(term);
    }
    ASSERT_NEAR(got[i], want, steps * std::ldexp(1.0, -24) * magnitude)
        << o.rows << " rows, " << o.inner << " by " << o.columns << ", row " << r << ", column "
        << j << (o.bfloat16 ? ", bfloat16" : "") << (accumulate ? ", added" : "");
  }
}

class RowTiles : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_row_tiles()) GTEST_SKIP() << "this processor has no tiles";
  }
};

TEST_F(RowTiles, FollowDoubleInBothLayoutsAndTypes) {
  for (const TiledRows of : {TiledRows::inputs, TiledRows::outputs}) {
    for (const std::size_t inner : {0, 1, 15, 16, 17, 31, 32, 33, 100}) {
      for (const std::size_t columns : {1, 15, 16, 17, 33, 70}) {
        for (const std::size_t rows : {0, 1, 5, 16, 17, 32, 33, 49}) {
          Operands o(of, rows, inner, columns);
          for (const bool accumulate : {false, true}) expect_product(o, accumulate);
          o.round();
          for (const bool accumulate : {false, true}) expect_product(o, accumulate);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

// Sums long enough for errors to add up, and for several parts of them.
TEST_F(RowTiles, FollowDoubleForLongSums) {
  for (const TiledRows of : {TiledRows::inputs, TiledRows::outputs}) {
    Operands o(of, 21, 2100, 40);
    expect_product(o, false);
    expect_product(o, true);
    o.round();
    expect_product(o, true);
  }
}

// Numbers whose parts differ by as much as they can, of very different sizes.
TEST_F(RowTiles, KeepEveryBitOfFloat) {
  for (const TiledRows of : {TiledRows::inputs, TiledRows::outputs}) {
    Operands o(of, 7, 1, 40);
    const std::vector<float> values = samples_of_every_binade();
    for (std::size_t i = 0; i < o.w.size(); ++i) {
      const float value = values[i * 67 % values.size()];
      o.w[i] = std::fabs(value) < 1e-20F || std::fabs(value) > 1e20F ? 1 + value * 0 : value;
    }
    for (float& x : o.x) x = 1 / (3 + x);
    expect_product(o, false);
  }
}

// A text's results are the same bits whoever else is there, and however many threads share columns.
TEST_F(RowTiles, ARowDependsOnNoOtherNorOnHowColumnsAreSplit) {
  for (const TiledRows of : {TiledRows::inputs, TiledRows::outputs}) {
    const Operands o(of, 39, 177, 133);
    const std::vector<float> all = product(o, false, 0, o.rows, {o.columns});
    for (std::size_t r = 0; r < o.rows; ++r) {
      const std::vector<float> one = product(o, false, r, 1, {64, 128, o.columns});
      for (std::size_t j = 0; j < o.columns; ++j) {
        ASSERT_EQ(one[r * o.y_pitch + j], all[r * o.y_pitch + j]) << r << ", " << j;
      }
    }
  }
}

TEST_F(RowTiles, WhatIsNotFiniteIsSeen) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Operands o(TiledRows::inputs, 6, 40, 20);
    o.x[2 * o.x_pitch + 35] = bad;
    const std::vector<float> y = product(o, false, 0, o.rows, {o.columns});
    for (std::size_t r = 0; r < o.rows; ++r) {
      ASSERT_EQ(std::isnan(y[r * o.y_pitch + 3]), r == 2) << bad;
    }
  }
}

}  // namespace
}  // namespace sluice::kernels
