#include "sluice/kernels/detail/panels.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "sluice/kernels/detail/bfloat16.hpp"
#include "support.hpp"

namespace sluice::kernels {
namespace {

TEST(Panels, PackingPlacesEveryElementAndFillsWithZeros) {
  for (const bool transposed : {false, true}) {
    for (const std::size_t rows : {1, 15, 16, 35}) {
      for (const std::size_t columns : {1, 31, 32}) {
        const std::size_t ld = 40;
        const auto w = normal_values<float>(ld * ld, 5);
        std::vector<float> panel(rows * kPanelColumns + 1, 9.0F);
        std::vector<std::uint16_t> narrow(rows * kPanelColumns + 1, 9);
        pack_panel(panel.data(), w.data(), ld, transposed, rows, columns);
        pack_panel(narrow.data(), w.data(), ld, transposed, rows, columns);
        EXPECT_EQ(panel.back(), 9.0F);
        EXPECT_EQ(narrow.back(), 9);
        for (std::size_t k = 0; k < rows; ++k) {
          for (std::size_t j = 0; j < kPanelColumns; ++j) {
            const float value = transposed ? w[j * ld + k] : w[k * ld + j];
            const float want = j < columns ? value : 0.0F;
            ASSERT_EQ(panel[k * kPanelColumns + j], want) << k << ", " << j;
            std::uint16_t rounded = 0;
            to_bfloat16(&rounded, &want, 1);
            ASSERT_EQ(narrow[k * kPanelColumns + j], rounded) << k << ", " << j;
          }
        }
      }
    }
  }
}

// Every number of rows a tile can have and then some, every tail of columns, both types of panel;
// what is behind the columns stays. Sums of K products of order 1: 1e-6 √K.
TEST(Panels, ProductsFollowDouble) {
  on_every_target([] {
    for (const std::size_t inner : {0, 1, 2, 37}) {
      const auto w = normal_values<float>(40 * 40, 6);
      for (const std::size_t columns : {1, 3, 8, 9, 16, 17, 31, 32}) {
        std::vector<float> panel(inner * kPanelColumns);
        std::vector<std::uint16_t> narrow(inner * kPanelColumns);
        pack_panel(panel.data(), w.data(), 40, false, inner, columns);
        pack_panel(narrow.data(), w.data(), 40, false, inner, columns);
        std::vector<float> rounded(narrow.size());
        from_bfloat16(rounded.data(), narrow.data(), narrow.size());
        for (std::size_t rows = 0; rows <= 17; ++rows) {
          const std::size_t a_pitch = inner + 3, c_pitch = columns + 5;
          const auto a = normal_values<float>(rows * a_pitch + 1, 7);
          const auto start = normal_values<float>(rows * c_pitch + 1, 8);
          for (const bool accumulate : {false, true}) {
            for (const bool bfloat16 : {false, true}) {
              std::vector<float> c = start;
              if (bfloat16) {
                multiply_panel(PanelProduct<std::uint16_t>{c.data(), c_pitch, a.data(), a_pitch,
                                                           narrow.data(), inner, accumulate},
                               rows, columns);
              } else {
                multiply_panel(PanelProduct<float>{c.data(), c_pitch, a.data(), a_pitch,
                                                   panel.data(), inner, accumulate},
                               rows, columns);
              }
              const auto& factor = bfloat16 ? rounded : panel;
              for (std::size_t i = 0; i < c.size(); ++i) {
                const std::size_t r = i / c_pitch, j = i % c_pitch;
                if (r == rows || j >= columns) {
                  ASSERT_EQ(c[i], start[i]) << "behind row " << r;
                  continue;
                }
                double want = accumulate ? static_cast<double>(start[i]) : 0.0;
                for (std::size_t k = 0; k < inner; ++k) {
                  want += static_cast<double>(a[r * a_pitch + k]) *
                          static_cast<double>(factor[k * kPanelColumns + j]);
                }
                ASSERT_NEAR(c[i], want, 6e-6) << rows << " rows, row " << r << ", " << j;
              }
            }
          }
        }
      }
    }
  });
}

// What is between and behind the panels' columns stays.
template <class W>
void expect_row_as_by_single_panels(const std::vector<W>& weights, std::size_t inner) {
  const auto a = normal_values<float>(inner + 1, 7);
  const auto start = normal_values<float>(10 * (kPanelColumns + 3), 8);
  const PanelSteps steps{.panel = inner * kPanelColumns, .c = kPanelColumns + 3};
  for (const bool accumulate : {false, true}) {
    for (std::size_t panels = 0; panels <= 9; ++panels) {
      std::vector<float> got = start, want = start;
      PanelProduct<W> product{got.data(), 0, a.data(), 0, weights.data(), inner, accumulate};
      multiply_row(product, steps, panels);
      product.c = want.data();
      for (std::size_t i = 0; i < panels; ++i) {
        multiply_panel(product, 1, kPanelColumns);
        product.c += steps.c;
        product.panel += steps.panel;
      }
      ASSERT_EQ(got, want) << panels << " panels of " << inner;
    }
  }
}

TEST(Panels, OneRowBySeveralAtOnceHasTheSameBits) {
  on_every_target([] {
    for (const std::size_t inner : {0, 1, 37}) {
      const auto weights = normal_values<float>(9 * inner * kPanelColumns + 1, 6);
      std::vector<std::uint16_t> narrow(weights.size());
      to_bfloat16(narrow.data(), weights.data(), weights.size());
      expect_row_as_by_single_panels(weights, inner);
      expect_row_as_by_single_panels(narrow, inner);
    }
  });
}

TEST(Panels, NanStaysInItsRow) {
  const std::size_t inner = 5, rows = 9;
  const auto w = normal_values<float>(inner * kPanelColumns, 6);
  auto a = normal_values<float>(rows * inner, 7);
  a[4 * inner + 2] = std::numeric_limits<float>::quiet_NaN();
  on_every_target([&] {
    std::vector<float> c(rows * kPanelColumns);
    multiply_panel(
        PanelProduct<float>{c.data(), kPanelColumns, a.data(), inner, w.data(), inner, false}, rows,
        kPanelColumns);
    for (std::size_t i = 0; i < c.size(); ++i) {
      EXPECT_EQ(std::isnan(c[i]), i / kPanelColumns == 4) << i;
    }
  });
}

}  // namespace
}  // namespace sluice::kernels
