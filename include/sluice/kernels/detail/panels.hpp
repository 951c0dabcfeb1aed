#pragma once
// Products of few rows by a constant matrix, step after step: the matrix is laid out once in panels
// of kPanelColumns columns, each row by row, so that every step reads it in order.

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {

/// Columns of a panel. A last panel of fewer is filled up with zeros.
inline constexpr std::size_t kPanelColumns = 32;

/// panel[k, j] = w[k · ld + j], or w[j · ld + k] when `transposed`, for k < rows and j < columns <=
/// kPanelColumns; zero for the columns behind. The panel has rows · kPanelColumns elements.
void pack_panel(float* panel, const float* w, std::size_t ld, bool transposed, std::size_t rows,
                std::size_t columns);
/// The same, rounded to bfloat16 (to nearest, ties to even).
void pack_panel(std::uint16_t* panel, const float* w, std::size_t ld, bool transposed,
                std::size_t rows, std::size_t columns);

/// c[r, j] = Σ_k a[r, k] · panel[k, j], or c[r, j] += when `accumulate`, for r < rows and j <
/// columns <= kPanelColumns: a [rows, inner] with rows of a_pitch, c with rows of c_pitch. Each sum
/// is taken in order of k, by fused multiply-adds where the target has them, so that it depends on
/// no other row. float32; a panel of bfloat16 is widened.
template <class W>
struct PanelProduct {
  float* c;
  std::size_t c_pitch;
  const float* a;
  std::size_t a_pitch;
  const W* panel;
  std::size_t inner;
  bool accumulate;
};
void multiply_panel(const PanelProduct<float>& product, std::size_t rows, std::size_t columns);
void multiply_panel(const PanelProduct<std::uint16_t>& product, std::size_t rows,
                    std::size_t columns);

/// From one panel to the next: elements of the panels, and of c.
struct PanelSteps {
  std::size_t panel;
  std::size_t c;
};
/// multiply_panel() of one row by several whole panels, kPanelColumns wide, at once, to the same
/// bits: sums of several panels keep the processor busy where those of one make it wait.
void multiply_row(const PanelProduct<float>& product, const PanelSteps& steps, std::size_t panels);
void multiply_row(const PanelProduct<std::uint16_t>& product, const PanelSteps& steps,
                  std::size_t panels);

}  // namespace sluice::kernels
