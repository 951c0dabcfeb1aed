#include "sluice/kernels/int8_panels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <vector>

#include "sluice/base/error.hpp"
#include "support.hpp"

namespace sluice::kernels {
namespace {

/// A matrix [inner, columns] in panels.
struct Packed {
  Packed(const std::vector<float>& w, std::size_t inner, std::size_t columns, bool transposed)
      : panel(int8_panel_rows(inner) * kInt8Columns),
        count((columns + kInt8Columns - 1) / kInt8Columns),
        elements(panel * count),
        scales(count * kInt8Columns),
        sums(count * kInt8Columns) {
    for (std::size_t p = 0; p < count; ++p) {
      const std::size_t j = p * kInt8Columns;
      int8_pack_panel({elements.data() + p * panel, scales.data() + j, sums.data() + j},
                      {w.data() + j * (transposed ? inner : 1), transposed ? 1 : columns,
                       transposed ? inner : 1, inner, std::min(kInt8Columns, columns - j)});
    }
  }

  int at(std::size_t k, std::size_t j) const {
    return elements[j / kInt8Columns * panel + k / 4 * 4 * kInt8Columns + 4 * (j % kInt8Columns) +
                    k % 4];
  }

  std::size_t panel, count;
  std::vector<std::int8_t> elements;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;
};

/// Rows rounded for the path in use.
class Rounded {
 public:
  Rounded(const std::vector<float>& x, std::size_t count, std::size_t inner, std::size_t pitch)
      : memory_(static_cast<std::byte*>(
            std::aligned_alloc(64, std::max<std::size_t>(64, int8_rows_bytes(count, inner))))),
        scales_(count) {
    // In two parts, as threads do it.
    int8_round_rows(rows(inner), x.data(), pitch, 0, count / 2);
    int8_round_rows(rows(inner), x.data(), pitch, count / 2, count);
  }
  Int8Rows rows(std::size_t inner) {
    return {memory_.get(), scales_.data(), scales_.size(), inner};
  }
  const std::vector<float>& scales() const { return scales_; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::vector<float> scales_;
};

/// Every way in which products can compute on this CPU.
template <class Body>
void on_every_path(const Body& body) {
  for (const Int8Path path : int8_paths()) {
    force_int8_path(path);
    SCOPED_TRACE(int8_path_name(path));
    if (path == Int8Path::portable) {
      on_every_target(body);
    } else {
      body();
    }
  }
  force_int8_path(int8_paths().front());
}

TEST(Int8Panels, ElementsAreOffByHalfAScaleAndSumsAreTheirs) {
  for (const bool transposed : {false, true}) {
    for (const std::size_t inner : {1, 3, 64, 70}) {
      for (const std::size_t columns : {1, 16, 19}) {
        const auto w = normal_values<float>(inner * columns, 5);
        const Packed packed(w, inner, columns, transposed);
        for (std::size_t j = 0; j < packed.count * kInt8Columns; ++j) {
          int sum = 0, largest = 0;
          for (std::size_t k = 0; k < int8_panel_rows(inner); ++k) {
            const int q = packed.at(k, j);
            sum += q;
            largest = std::max(largest, std::abs(q));
            if (j >= columns || k >= inner) {
              ASSERT_EQ(q, 0) << k << ", " << j;
              continue;
            }
            const float value = transposed ? w[j * inner + k] : w[k * columns + j];
            ASSERT_NEAR(packed.scales[j] * static_cast<float>(q), value,
                        0.5001F * packed.scales[j]);
          }
          ASSERT_EQ(packed.sums[j], sum);
          ASSERT_EQ(largest, j < columns ? 127 : 0);
          if (j >= columns) continue;
          std::vector<float> column(inner);
          int8_unpack_column(column.data(), packed.elements.data() + j / 16 * packed.panel,
                             packed.scales[j], j % 16, inner);
          for (std::size_t k = 0; k < inner; ++k) {
            ASSERT_EQ(column[k], packed.scales[j] * static_cast<float>(packed.at(k, j)));
          }
        }
      }
    }
  }
}

// Against float64 products of x and the rounded matrix. A row is rounded to 16 bits: each element
// is off by half of its scale, so that a sum is off by no more than that times Σ |q| of the column;
// and by float32's rounding of sums, 1e-6 of Σ |x·q|. Paths of bytes agree to the bit.
TEST(Int8Panels, ProductsFollowDoubleWithinWhatRoundingRowsMayDo) {
  for (const std::size_t inner : {1, 5, 64, 130, 2048}) {
    for (const std::size_t columns : {1, 16, 37}) {
      const auto w = normal_values<float>(inner * columns, 6);
      const Packed packed(w, inner, columns, false);
      for (const std::size_t rows : {0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 50, 64, 70}) {
        if (inner > 200 && rows > 20) continue;
        const std::size_t pitch = inner + 3, c_pitch = columns + 5;
        const auto x = normal_values<float>(rows * pitch + 1, 7);
        const auto start = normal_values<float>(rows * c_pitch + 1, 8);
        for (const bool accumulate : {false, true}) {
          std::vector<float> of_bytes;
          on_every_path([&] {
            Rounded rounded(x, rows, inner, pitch);
            std::vector<float> c = start;
            int8_multiply({c.data(), c_pitch, rounded.rows(inner), packed.elements.data(),
                           packed.scales.data(), packed.sums.data(), columns, accumulate});
            for (std::size_t i = 0; i < c.size(); ++i) {
              const std::size_t r = i / c_pitch, j = i % c_pitch;
              if (r == rows || j >= columns) {
                ASSERT_EQ(c[i], start[i]) << "behind row " << r;
                continue;
              }
              double want = 0, magnitude = 0, weights = 0;
              for (std::size_t k = 0; k < inner; ++k) {
                const double q = packed.at(k, j);
                const double product = static_cast<double>(x[r * pitch + k]) * q;
                want += product;
                magnitude += std::fabs(product);
                weights += std::fabs(q);
              }
              const auto scale = static_cast<double>(packed.scales[j]);
              const double bound =
                  scale *
                  (0.501 * static_cast<double>(rounded.scales()[r]) * weights + 1e-6 * magnitude);
              want = want * scale + (accumulate ? static_cast<double>(start[i]) : 0.0);
              ASSERT_NEAR(c[i], want, bound + 1e-7 * std::fabs(want))
                  << inner << ": " << r << ", " << j << " of " << rows;
            }
            if (int8_path() == Int8Path::portable) return;
            if (of_bytes.empty()) of_bytes = c;
            ASSERT_EQ(c, of_bytes);
          });
        }
      }
    }
  }
}

// Sums of the largest magnitudes, in the longest columns: nothing overflows. Float32's sums of
// 16384 equal terms drift by 1e-4.
TEST(Int8Panels, TheLongestSumsFit) {
  const std::size_t inner = kInt8MostInner;
  for (const float sign : {-1.0F, 1.0F}) {
    const Packed packed(std::vector<float>(inner, sign), inner, 1, false);
    const std::vector<float> x(3 * inner, 2.0F);
    on_every_path([&] {
      Rounded rounded(x, 3, inner, inner);
      std::vector<float> c(3);
      int8_multiply({c.data(), 1, rounded.rows(inner), packed.elements.data(), packed.scales.data(),
                     packed.sums.data(), 1, false});
      const float bound = int8_path() == Int8Path::portable ? 13.0F : 0.1F;
      for (const float y : c) ASSERT_NEAR(y, sign * 131072.0F, bound);
    });
  }
}

// Two rows: byte products; four: tiles.
TEST(Int8Panels, ZerosStayZerosAndWhatIsNotFiniteDoesNotHide) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::size_t inner = 70;
  for (const std::size_t rows : {2, 4}) {
    on_every_path([&] {
      for (const float bad : {infinity, -infinity, std::nanf("")}) {
        std::vector<float> x(rows * inner, 1.0F);
        x[inner + 65] = bad;
        std::fill_n(x.begin(), inner, 0.0F);
        std::vector<float> w(inner * 2, 1.0F);
        const Packed packed(w, inner, 2, false);
        Rounded rounded(x, rows, inner, inner);
        std::vector<float> c(rows * 2);
        int8_multiply({c.data(), 2, rounded.rows(inner), packed.elements.data(),
                       packed.scales.data(), packed.sums.data(), 2, false});
        ASSERT_EQ(c[0], 0.0F);
        ASSERT_EQ(c[1], 0.0F);
        ASSERT_TRUE(std::isnan(c[2]) && std::isnan(c[3]));
        w[9] = bad;
        const Packed damaged(w, inner, 2, false);
        ASSERT_EQ(damaged.scales[0], 1.0F / 127);
        ASSERT_TRUE(std::isnan(damaged.scales[1]));
      }
    });
  }
}

TEST(Int8Panels, OnlyPathsOfThisCpuCanBeForced) {
  EXPECT_EQ(int8_path(), int8_paths().front());
  EXPECT_EQ(int8_paths().back(), Int8Path::portable);
  for (const Int8Path path :
       {Int8Path::portable, Int8Path::avx_vnni, Int8Path::avx512_vnni, Int8Path::amx}) {
    const auto known = int8_paths();
    if (std::find(known.begin(), known.end(), path) != known.end()) continue;
    EXPECT_THROW(force_int8_path(path), UsageError);
  }
}

}  // namespace
}  // namespace sluice::kernels
