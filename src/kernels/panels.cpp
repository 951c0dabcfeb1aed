// multiply_panel, multiply_row and pack_panel.
#include "sluice/kernels/detail/panels.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "sluice/kernels/detail/bfloat16.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "panels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

template <class D>
HWY_INLINE hn::Vec<D> Widened(D d, const float* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> Widened(D d, const std::uint16_t* p) {
  const hn::Rebind<std::uint16_t, D> d16;
  const hn::RebindToUnsigned<D> du;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d16, p))));
}

// As many rows as the registers hold sums for, two vectors each: 32 registers with AVX-512, 16
// otherwise.
constexpr std::size_t kMostRows = hn::MaxLanes(hn::ScalableTag<float>()) >= 16 ? 8 : 6;

// `kRows` rows by two vectors of columns.
template <std::size_t kRows, class W, class Span>
HWY_INLINE void MultiplyTile(const PanelProduct<W>& p, Span first, Span second) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<decltype(d)> left[kRows];
  hn::Vec<decltype(d)> right[kRows];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
    left[r] = hn::Zero(d);
    right[r] = hn::Zero(d);
    if (p.accumulate) {
      left[r] = first.Load(d, p.c + r * p.c_pitch);
      right[r] = second.Load(d, p.c + r * p.c_pitch + lanes);
    }
  }
  const float* rows[kRows];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) rows[r] = p.a + r * p.a_pitch;
  for (std::size_t k = 0; k < p.inner; ++k) {
    const auto u = Widened(d, p.panel + k * kPanelColumns);
    const auto v = Widened(d, p.panel + k * kPanelColumns + lanes);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r) {
      const auto x = hn::Set(d, rows[r][k]);
      left[r] = hn::MulAdd(x, u, left[r]);
      right[r] = hn::MulAdd(x, v, right[r]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
    first.Store(left[r], d, p.c + r * p.c_pitch);
    second.Store(right[r], d, p.c + r * p.c_pitch + lanes);
  }
}

template <std::size_t kRows, class W>
void MultiplyColumns(const PanelProduct<W>& p, std::size_t columns) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  PanelProduct<W> at = p;
  for (std::size_t j = 0; j < columns; j += 2 * lanes) {
    at.c = p.c + j;
    at.panel = p.panel + j;
    const std::size_t rest = columns - j;
    if (rest >= 2 * lanes) {
      MultiplyTile<kRows>(at, Whole{}, Whole{});
    } else {
      MultiplyTile<kRows>(at, First{std::min(rest, lanes)}, First{rest - std::min(rest, lanes)});
    }
  }
}

template <std::size_t kRows, class W>
void MultiplyRows(PanelProduct<W> p, std::size_t rows, std::size_t columns) {
  for (; rows >= kRows; rows -= kRows) {
    MultiplyColumns<kRows>(p, columns);
    p.a += kRows * p.a_pitch;
    p.c += kRows * p.c_pitch;
  }
  if constexpr (kRows > 1) {
    if (rows > 0) MultiplyRows<kRows - 1>(p, rows, columns);
  }
}

// Vectors of which two fit into a panel.
using RowTag = hn::CappedTag<float, kPanelColumns / 2>;

// One row by two vectors of columns of each panel: their sums are chains of their own, so that the
// processor need not wait for the end of one multiplication before it begins the next.
template <std::size_t kPanels, class W>
HWY_INLINE void MultiplyRowTile(const PanelProduct<W>& p, const PanelSteps& steps, std::size_t j) {
  const RowTag d;
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<decltype(d)> left[kPanels];
  hn::Vec<decltype(d)> right[kPanels];
  const W* panels[kPanels];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kPanels; ++i) {
    panels[i] = p.panel + i * steps.panel + j;
    const float* c = p.c + i * steps.c + j;
    left[i] = p.accumulate ? hn::LoadU(d, c) : hn::Zero(d);
    right[i] = p.accumulate ? hn::LoadU(d, c + lanes) : hn::Zero(d);
  }
  for (std::size_t k = 0; k < p.inner; ++k) {
    const auto x = hn::Set(d, p.a[k]);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kPanels; ++i) {
      left[i] = hn::MulAdd(x, Widened(d, panels[i] + k * kPanelColumns), left[i]);
      right[i] = hn::MulAdd(x, Widened(d, panels[i] + k * kPanelColumns + lanes), right[i]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kPanels; ++i) {
    float* c = p.c + i * steps.c + j;
    hn::StoreU(left[i], d, c);
    hn::StoreU(right[i], d, c + lanes);
  }
}

template <std::size_t kPanels, class W>
void MultiplyRowBy(PanelProduct<W> p, const PanelSteps& steps, std::size_t panels) {
  const std::size_t tile = 2 * hn::Lanes(RowTag());
  for (; panels >= kPanels; panels -= kPanels) {
    for (std::size_t j = 0; j < kPanelColumns; j += tile) MultiplyRowTile<kPanels>(p, steps, j);
    p.c += kPanels * steps.c;
    p.panel += kPanels * steps.panel;
  }
  if constexpr (kPanels > 1) {
    if (panels > 0) MultiplyRowBy<kPanels - 1>(p, steps, panels);
  }
}

void MultiplyFloat(const PanelProduct<float>& product, std::size_t rows, std::size_t columns) {
  MultiplyRows<kMostRows>(product, rows, columns);
}
void MultiplyBfloat16(const PanelProduct<std::uint16_t>& product, std::size_t rows,
                      std::size_t columns) {
  MultiplyRows<kMostRows>(product, rows, columns);
}
void MultiplyRowFloat(const PanelProduct<float>& product, const PanelSteps& steps,
                      std::size_t panels) {
  MultiplyRowBy<4>(product, steps, panels);
}
void MultiplyRowBfloat16(const PanelProduct<std::uint16_t>& product, const PanelSteps& steps,
                         std::size_t panels) {
  MultiplyRowBy<4>(product, steps, panels);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(MultiplyFloat);
HWY_EXPORT(MultiplyBfloat16);
HWY_EXPORT(MultiplyRowFloat);
HWY_EXPORT(MultiplyRowBfloat16);

void pack(float* panel, const float* w, std::size_t ld, bool transposed, std::size_t rows,
          std::size_t columns) {
  // Short runs of k, so that a transposed matrix is read in order and written near by.
  constexpr std::size_t kRun = 16;
  const std::size_t row_step = transposed ? 1 : ld;
  const std::size_t column_step = transposed ? ld : 1;
  for (std::size_t begin = 0; begin < rows; begin += kRun) {
    const std::size_t end = std::min(rows, begin + kRun);
    for (std::size_t j = 0; j < kPanelColumns; ++j) {
      for (std::size_t k = begin; k < end; ++k) {
        panel[k * kPanelColumns + j] = j < columns ? w[k * row_step + j * column_step] : 0.0F;
      }
    }
  }
}

}  // namespace

void pack_panel(float* panel, const float* w, std::size_t ld, bool transposed, std::size_t rows,
                std::size_t columns) {
  pack(panel, w, ld, transposed, rows, columns);
}
void pack_panel(std::uint16_t* panel, const float* w, std::size_t ld, bool transposed,
                std::size_t rows, std::size_t columns) {
  constexpr std::size_t kRun = 16;
  float wide[kRun * kPanelColumns];
  for (std::size_t begin = 0; begin < rows; begin += kRun) {
    const std::size_t run = std::min(kRun, rows - begin);
    pack(wide, w + begin * (transposed ? 1 : ld), ld, transposed, run, columns);
    to_bfloat16(panel + begin * kPanelColumns, wide, run * kPanelColumns);
  }
}

void multiply_panel(const PanelProduct<float>& product, std::size_t rows, std::size_t columns) {
  HWY_DYNAMIC_DISPATCH(MultiplyFloat)(product, rows, columns);
}
void multiply_panel(const PanelProduct<std::uint16_t>& product, std::size_t rows,
                    std::size_t columns) {
  HWY_DYNAMIC_DISPATCH(MultiplyBfloat16)(product, rows, columns);
}

void multiply_row(const PanelProduct<float>& product, const PanelSteps& steps, std::size_t panels) {
  HWY_DYNAMIC_DISPATCH(MultiplyRowFloat)(product, steps, panels);
}
void multiply_row(const PanelProduct<std::uint16_t>& product, const PanelSteps& steps,
                  std::size_t panels) {
  HWY_DYNAMIC_DISPATCH(MultiplyRowBfloat16)(product, steps, panels);
}

}  // namespace sluice::kernels
#endif
